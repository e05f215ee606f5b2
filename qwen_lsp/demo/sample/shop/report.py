"""A report in plain text."""

from shop.orders import Order
from shop.stock import Stock


def money(cents: int) -> str:
    """Cents as a price: 1234 is 12.34."""
    return f"{cents // 100}.{cents % 100:02d}"


def stock_report(stock: Stock) -> str:
    """One line for each item, and the value of all."""
    rows = []
    for item in stock.items.values():
        rows.append(f"{item.name:<20} {item.quantity:>6} {money(item.price):>10}")
    rows.append(f"{'total':<20} {'':>6} {money(stock.value()):>10}")
    return "\n".join(rows)


def order_report(order: Order, stock: Stock) -> str:
    """One line for each line of the order, and its total."""
    rows = [f"Order of {order.customer}"]
    for line in order.lines:
        item = stock.items[line.name]
        rows.append(f"{line.quantity:>4} x {item.name:<20} {money(item.price):>10}")
    rows.append(f"total {money(order.total(stock)):>10}")
    return "\n".join(rows)
