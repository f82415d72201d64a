"""What a handler asks for by annotation: values of the request, validated, and dependencies of the application.

    async def create(request: Request, item: Body[NewItem], page: Query[Page], store: Store) -> Item: …

How it works: `marks` name the places that values come from; `signature` reads what a function asks for, `records` the fields of
types, whichever library they are written with; `sources` reads a place, `conversion` makes the value, `faults` finds everything
that is wrong with one that does not fit; `providers` and `lifetime` make dependencies and tear them down; `injector` puts all of
it together into one callable for each handler when the application is finalised.
"""

from __future__ import annotations

from fairlead.injection.decorators import call_handler, inject, run_first, validate
from fairlead.injection.injector import Binding, Injector, is_coroutine_handler
from fairlead.injection.marks import Body, Cookie, Form, Header, Path, Query
from fairlead.injection.opening import Opening
from fairlead.injection.providers import Dependency, Scope

__all__ = [
    "Binding",
    "Body",
    "Cookie",
    "Dependency",
    "Form",
    "Header",
    "Injector",
    "Opening",
    "Path",
    "Query",
    "Scope",
    "call_handler",
    "inject",
    "is_coroutine_handler",
    "run_first",
    "validate",
]
