"""What is on the shelves."""

from dataclasses import dataclass, field


class OutOfStock(Exception):
    """Raised when more is taken than there is."""

    def __init__(self, name: str, wanted: int, available: int) -> None:
        super().__init__(f"{name}: wanted {wanted}, only {available} left")
        self.name = name
        self.wanted = wanted
        self.available = available


@dataclass
class Item:
    """One kind of thing, with its price in cents."""

    name: str
    price: int
    quantity: int = 0


@dataclass
class Stock:
    """All items by name."""

    items: dict[str, Item] = field(default_factory=dict)

    def add(self, name: str, price: int, quantity: int = 1) -> Item:
        """Put `quantity` of an item on the shelf; a known item takes the new price."""
        item = self.items.get(name)
        if item is None:
            item = Item(name, price)
            self.items[name] = item
        item.price = price
        item.quantity += quantity
        return item

    def take(self, name: str, quantity: int = 1) -> int:
        """Take `quantity` off the shelf and return what it costs, in cents."""
        item = self.items[name]
        if item.quantity < quantity:
            raise OutOfStock(name, quantity, item.quantity)
        item.quantity -= quantity
        return item.price * quantity

    def value(self) -> int:
        """What everything on the shelves is worth, in cents."""
        total = 0
        for item in self.items.values():
            total += item.price * item.quantity
        return total

    def missing(self) -> list[str]:
        """Names of the items that have run out, in alphabetical order."""
        names = []
        for name, item in self.items.items():
            if item.quantity == 0:
                names.append(name)
        return sorted(names)
