package shop.stock;

import java.util.List;
import java.util.*;
import static java.lang.Math.max;

/** Keeps items. */
@Deprecated
public abstract class Stock<T extends Comparable<T>> implements Shelf<T> {
    private static final int LIMIT = 10;
    protected List<T> items, größe;

    public Stock(int limit) {
        this.limit = limit;
    }

    @Override
    @SuppressWarnings("unchecked")
    public boolean put(
            @Nullable T item) throws IllegalStateException {
        int local = max(1, LIMIT);
        Runnable later = new Runnable() {
            public void run() {
                items.clear();
            }
        };
        return local > items.size();
    }

    abstract String name();

    enum Color {
        RED(1),
        GREEN(2) {
            int weight() { return 2; }
        };

        private final int code;

        Color(int code) { this.code = code; }
    }

    record Point(int x, int y) {
        Point {
            assert x > 0;
        }

        double length() { return Math.sqrt(x * x + y * y); }
    }

    static class Node {
        Node next;
    }
}

interface Shelf<T> {
    int SIZE = 3;

    boolean put(T item);

    default int size() { return SIZE; }
}

@interface Marked {
    String value() default "";
}
