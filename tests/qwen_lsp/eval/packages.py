"""A small package with tests, of which each kind of task can be cut."""

PACKAGE = {
    "src/shop/__init__.py": "",
    "src/shop/cart.py": '''"""A cart."""

import os

NAMES = ("a", "b")


def total_of(prices):
    return sum(prices) * 12 + len(os.sep)


def plain(value):
    return value


def shown(prices):
    return str(total_of(prices)) + plain(", ".join(NAMES))
''',
    "src/shop/main.py": "from shop.cart import total_of\n\nprint(total_of([1]), total_of([*range(3)],))\n",
    "tests/test_cart.py": "from shop.cart import shown\n\n\ndef test_shown():\n    assert shown([1]) == '13a, b'\n",
}
