"""What Live's objects have and how they are called, as ableton-live-stubs say it, enforced: see `fake_live`."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Protocol


class Witness(Protocol):
    """Who is told what the script does to Live's objects."""

    objects: list[LiveObject]
    missing: dict[str, tuple[str, ...]]  # of a class: names that this version of Live has not
    notifying: int

    def fails(self, error: Exception, *, expected: bool = False) -> Exception: ...

    def changes(self, what: str) -> None: ...


def stubs() -> Path:
    found = importlib.util.find_spec("Live-stubs")
    assert found is not None and found.submodule_search_locations, "pip install ableton-live-stubs"
    return Path(next(iter(found.submodule_search_locations)))


def constants(module: str, name: str) -> dict[str, int]:
    """Of an enumeration of the stubs."""
    tree = ast.parse((stubs() / f"{module}.pyi").read_text(encoding="utf-8"))
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    members = [node for node in found.body if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant)]
    return {ast.unparse(node.target): ast.literal_eval(node.value) for node in members if node.value is not None}


class Surface:
    """What a class of the stubs has."""

    def __init__(self, module: str, name: str) -> None:
        self.name = name
        self.properties: dict[str, str] = {}  # and their types
        self.settable: set[str] = set()
        self.methods: dict[str, inspect.Signature] = {}
        tree = ast.parse((stubs() / f"{module}.pyi").read_text(encoding="utf-8"))
        (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
        for node in found.body:
            if isinstance(node, ast.FunctionDef):
                self._add(node)

    def _add(self, node: ast.FunctionDef) -> None:
        decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
        if "property" in decorators:
            assert node.returns is not None
            self.properties[node.name] = ast.unparse(node.returns)
        elif f"{node.name}.setter" in decorators:
            self.settable.add(node.name)
        else:
            self.methods[node.name] = signature(node)

    @property
    def names(self) -> set[str]:
        return {*self.properties, *self.methods}


def signature(node: ast.FunctionDef) -> inspect.Signature:
    """As the stub says it, without self; defaults are there or not."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    return inspect.Signature(
        [
            inspect.Parameter(
                argument.arg,
                inspect.Parameter.POSITIONAL_ONLY
                if argument in arguments.posonlyargs
                else inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=inspect.Parameter.empty if index < required else None,
            )
            for index, argument in enumerate(positional)
            if argument.arg != "self"
        ]
    )


@cache
def surface(name: str) -> Surface:
    return Surface(name, name)


_TYPES: dict[str, tuple[type, ...]] = {"bool": (bool, int), "int": (int,), "float": (float, int), "str": (str,)}


class Vector:
    """As `Live.Base.Vector`."""

    def __init__(self, items: list[Any]) -> None:
        self._items = list(items)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._items))

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return Vector(self._items[index]) if isinstance(index, slice) else self._items[index]

    def __contains__(self, item: object) -> bool:
        return item in self._items


class LiveObject:
    """One of Live's objects. A subclass says how its methods act, each as `do_NAME`, and may check values that are set.

    Names with an underscore in front are the test's.
    """

    kind = ""

    def __init__(self, world: Witness, **values: Any) -> None:
        self.__dict__.update(_world=world, _values=values, _listeners={}, _deleted=False)
        world.objects.append(self)
        for name in values:
            assert name in self._surface.properties, f"the stubs' {self.kind} has no {name}"

    @property
    def _surface(self) -> Surface:
        return surface(self.kind)

    def __getattr__(self, name: str) -> Any:
        world = self._world
        known = self._surface
        if name.startswith("_") or name not in known.names or name in world.missing.get(self.kind, ()):
            raise world.fails(AttributeError(f"{self.kind} has no {name}"))
        if self._deleted:
            raise world.fails(RuntimeError(f"this {self.kind} is deleted"), expected=name.endswith("_listener"))
        if name in known.properties:
            return self._get(name)
        return self._checked(name, known.methods[name], self._method(name))

    def __setattr__(self, name: str, value: Any) -> None:
        world = self._world
        if self._deleted or name not in self._surface.settable:
            raise world.fails(AttributeError(f"{self.kind}.{name} cannot be set"))
        wanted = _TYPES.get(self._surface.properties[name])
        if wanted is not None and not isinstance(value, wanted):
            raise world.fails(TypeError(f"{self.kind}.{name} is no {type(value).__name__}"))
        world.changes(f"{self.kind}.{name}")
        check = getattr(type(self), f"check_{name}", None)
        if check is not None:
            check(self, value)
        self._set(name, value)

    def _get(self, name: str) -> Any:
        value = self._values[name]
        return Vector(value) if isinstance(value, list) else value

    def _set(self, name: str, value: Any) -> None:
        """As Live itself does."""
        old, self._values[name] = self._values.get(name), value
        if old != value:
            self._notify(name)

    def _notify(self, name: str) -> None:
        for listener in list(self._listeners.get(name, ())):
            self._world.notifying += 1
            try:
                listener()
            finally:
                self._world.notifying -= 1

    def _method(self, name: str) -> Callable[..., Any]:
        for prefix, act in (("add_", list.append), ("remove_", list.remove)):
            if name.startswith(prefix) and name.endswith("_listener"):
                listeners = self._listeners.setdefault(name.removeprefix(prefix).removesuffix("_listener"), [])
                return lambda listener: act(listeners, listener)
        if name.endswith("_has_listener"):
            return lambda listener: listener in self._listeners.get(name.removesuffix("_has_listener"), ())
        method: Callable[..., Any] | None = getattr(type(self), f"do_{name}", None)
        assert method is not None, f"the fake's {self.kind} cannot {name}"
        return lambda *arguments: method(self, *arguments)

    def _delete(self) -> None:
        self.__dict__.update(_deleted=True, _listeners={})

    def _checked(self, name: str, form: inspect.Signature, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                bound = form.bind(*arguments, **named)
            except TypeError as error:
                raise self._world.fails(TypeError(f"{self.kind}.{name}: {error}")) from None
            return act(*bound.args, **bound.kwargs)

        return call
