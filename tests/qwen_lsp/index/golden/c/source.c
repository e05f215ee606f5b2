/* Items and größe. */
#ifndef STOCK_H
#define STOCK_H
#include <stdio.h>
#include "util/list.h"

#define LIMIT 10
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#ifdef __cplusplus
extern "C" {
#endif

typedef unsigned int count_t;
typedef int (*compare_fn)(const void *, const void *);

typedef struct {
    char *name;
    int codes[4];
    compare_fn compare;
    int (*free)(void *);
} item_t;

typedef struct stock {
    item_t *items;
    struct stock *next;
} stock;

struct shelf {
    unsigned width : 3;
};

typedef enum { SMALL, LARGE = 2 } size_class;

enum color { RED, GREEN };

union bits {
    int i;
    float f;
};

extern int total;
static const char *names[] = {"größe", "📦"};
int first = 1, *second;

int stock_put(stock *self, const item_t *item);
stock *stock_new(int limit);

#ifdef __cplusplus
}
#endif
#endif

static int helper(int n)
{
    int local = MAX(n, LIMIT);
    return local;
}

stock *
stock_new(int limit)
{
    stock *self = malloc(sizeof(*self));
    self->items = NULL;
    return helper(limit) ? self : NULL;
}

char **stock_names(void) { return (char **)names; }

int main(int argc, char **argv)
{
    struct shelf shelf = {.width = 1};
    printf("%d\n", stock_put(stock_new(argc), NULL) + shelf.width);
    return RED;
}
