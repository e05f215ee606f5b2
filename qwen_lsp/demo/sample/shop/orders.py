"""Orders: what a customer wants, and what it comes to."""

from dataclasses import dataclass, field

from shop.stock import OutOfStock, Stock


@dataclass
class Line:
    """One line of an order."""

    name: str
    quantity: int


@dataclass
class Order:
    """A customer's order. Prices are in cents."""

    customer: str
    lines: list[Line] = field(default_factory=list)
    discount: float = 0.0

    def add(self, name: str, quantity: int = 1) -> None:
        """Add to the line of that name, or start a new one."""
        for line in self.lines:
            if line.name == name:
                line.quantity += quantity
                return
        self.lines.append(Line(name, quantity))

    def total(self, stock: Stock) -> int:
        """The sum of all lines, less the discount."""
        total = 0
        for line in self.lines:
            item = stock.items[line.name]
            total += item.price * line.quantity
        return round(total * (1 - self.discount))

    def is_empty(self) -> bool:
        """Whether there is nothing to deliver."""
        pass


def deliver(order: Order, stock: Stock) -> list[str]:
    """Take everything off the shelves; return the names of what could not be delivered."""
    failed = []
    for line in order.lines:
        try:
            stock.take(line.name, line.quantity)
        except OutOfStock as error:
            failed.append(error.name)
    return failed
