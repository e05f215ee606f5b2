"""A module about größe and 📦."""

import os
import xml.etree as etree

from .base import *

LIMIT = 10
größe: int = 3
first, second = 1, 2
type Names = list[str]

if LIMIT:
    fallback = None


@decorate("with arguments")
class Stock(Base, metaclass=Meta):
    """Keeps 'items'."""

    size: int = 0
    MOST = 5

    def __init__(self, limit=LIMIT):
        self.limit = limit
        self.items, local = {}, 1
        self.limit = 2

    @property
    def total(self) -> int:
        return sum(self.items.values())

    @staticmethod
    async def put(
        name: str,
        item: "Item",
    ) -> None:
        count = 1

        def helper(n):
            return n + count

        "📦"
        Stock.other = helper(count)

    class Node:
        next = None


def load[T](path: os.PathLike, *rest: T) -> T:
    return etree.parse(path)


shout = lambda text: text.upper()
