"""Which file an import means."""

import pytest

from qwen_lsp.context.modules import affinity, parts_of, resolved


@pytest.mark.parametrize(
    ("module", "path", "means"),
    [
        ("shop.cart", "app.py", "shop/cart.py"),
        ("shop.cart", "src/deep/app.py", "src/shop/cart.py"),
        ("shop.cart.Cart", "app.py", "shop/cart.py"),
        ("shop", "app.py", "shop/__init__.py"),
        (".cart", "shop/app.py", "shop/cart.py"),
        ("..cart", "shop/a/app.py", "shop/cart.py"),
        (".", "shop/app.py", "shop/__init__.py"),
        ("./cart", "web/app.ts", "web/cart.ts"),
        ("./cart.js", "web/app.ts", "web/cart.ts"),
        ("../cart", "web/a/app.tsx", "web/cart.ts"),
        ("./parts", "web/app.js", "web/parts/index.ts"),
        ("shop.c", "app.py", "shop/c.py"),
        ("org.shop.Cart", "main/org/app/App.java", "main/org/shop/Cart.java"),
        ("cart.h", "src/app.c", "src/cart.h"),
        ("shop/cart.h", "src/app.c", "src/shop/cart.h"),
        ("crate::cart::Cart", "src/app.rs", "src/cart.rs"),
        ("shop/cart", "lib/app.rb", "lib/shop/cart.rb"),
    ],
)
def test_resolved(module: str, path: str, means: str) -> None:
    assert resolved(module, path, {means}.intersection) == means


def test_above_the_root_is_nothing() -> None:
    assert resolved("../../../cart", "a/b/app.ts", lambda paths: paths) is None


@pytest.mark.parametrize("module", ["os", "", ".", "../../../x", "a..b", "::", "\\", "react", "<stdio.h>"])
@pytest.mark.parametrize("path", ["a.py", "a/b.ts", "a.c", "a/b/c.rs", "noext"])
def test_what_is_not_there_is_not_found(module: str, path: str) -> None:
    assert resolved(module, path, lambda _: ()) is None


def test_affinity_is_the_share_of_the_name_that_the_path_has() -> None:
    assert affinity("django/db/models/query.py", parts_of("django.db.models")) == 1.0
    assert affinity("django/http/request.py", parts_of("django.db.models")) == pytest.approx(1 / 3)
    assert affinity("a.py", ()) == 0.0
