"""Small changes of a module's source, each of which some test should notice.

A mutant changes one place of the syntax tree: an operator, a comparison, a constant, a condition,
a statement that is left out, two arguments that change places, a keyword that is dropped. What a
computation does not depend on is left alone: annotations, imports, docstrings, and the words of
messages (f-strings, and what stands inside of ``raise`` and ``warnings.warn``).
"""

from __future__ import annotations

import ast
import copy
import inspect
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes:
        number: The how manieth of the module; `mutated_source` makes it.
        kind: What is changed, as "comparison".
        line: Where.
        lines: Lines of which a test must run one to see the change: those of the statement; of
            the whole function for its default values; none for what runs on import.
        change: Source before and after.
    """

    number: int
    kind: str
    line: int
    lines: tuple[int, ...]
    change: str


def mutants(source: str) -> list[Mutant]:
    """List every mutant of a module."""
    return [
        Mutant(number, kind, node.lineno, lines, f"{_shown(node)} -> {_shown(new)}")
        for number, (node, lines, kind, new) in enumerate(_all_changes(ast.parse(source)))
    ]


def mutated_source(source: str, number: int) -> str:
    """Write the module as its mutant of that number has it."""
    tree = ast.parse(source)
    place, _, _, new = next(itertools.islice(_all_changes(tree), number, None))
    return ast.unparse(ast.fix_missing_locations(_Replacement(place, new).visit(tree)))


def changed_function(source: str, number: int) -> CodeType | None:
    """Compile the mutant, and give the code of the one function that differs.

    Returns:
        None where something else differs: what runs on import, or several functions at once.
    """
    before = _functions(compile(ast.unparse(ast.parse(source)), "mutant", "exec"))
    after = _functions(compile(mutated_source(source, number), "mutant", "exec"))
    changed = [name for name, codes in after.items() if codes != before.get(name)]
    codes = after[changed[0]] if len(changed) == 1 else []
    return codes[0] if len(codes) == 1 else None


def _functions(code: CodeType) -> dict[str, list[CodeType]]:
    """Codes of functions and methods, by their qualified names."""
    found: dict[str, list[CodeType]] = {}
    for inner in code.co_consts:
        if not isinstance(inner, CodeType):
            continue
        if inner.co_flags & inspect.CO_OPTIMIZED:
            found.setdefault(inner.co_qualname, []).append(inner)
        else:  # the body of a class
            found |= _functions(inner)
    return found


class _Replacement(ast.NodeTransformer):
    def __init__(self, place: ast.AST, new: ast.AST) -> None:
        self.place, self.new = place, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.place else self.generic_visit(node)


def _all_changes(tree: ast.Module) -> Iterator[tuple[ast.AST, tuple[int, ...], str, ast.AST]]:
    for node, lines in _places(tree, ()):
        for kind, new in _changes(node):
            yield node, lines, kind, new


def _places(node: ast.AST, lines: tuple[int, ...]) -> Iterator[tuple[ast.AST, tuple[int, ...]]]:
    """Walk over what a computation depends on; `lines` is empty outside of functions."""
    if _left_alone(node, in_function=bool(lines)):
        return
    yield node, lines
    if _is_message(node):
        return
    if isinstance(node, _Function):
        whole = tuple(range(node.body[0].lineno, (node.end_lineno or 0) + 1))
        for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            yield from _places(default, whole)
        for decorator in node.decorator_list:
            yield from _places(decorator, ())
        for statement in node.body:
            yield from _places(statement, _header(statement))
        return
    for field, value in ast.iter_fields(node):
        if field == "annotation":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.stmt) and lines:
                yield from _places(child, _header(child))
            elif isinstance(child, ast.AST):
                yield from _places(child, lines)


def _header(statement: ast.stmt) -> tuple[int, ...]:
    """Lines of a statement, of a compound one those before its body."""
    body = getattr(statement, "body", None)
    end = max(statement.lineno, body[0].lineno - 1) if body else statement.end_lineno
    return tuple(range(statement.lineno, (end or statement.lineno) + 1))


def _left_alone(node: ast.AST, in_function: bool) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.JoinedStr():
            return True
        case ast.Expr(value=ast.Constant()):  # a docstring, or an ellipsis
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Subscript(value=ast.Name(id="Literal")):
            return True
        case ast.BinOp(op=ast.BitOr()) if not in_function:  # a name for a union of types
            return True
    return False


def _is_message(node: ast.AST) -> bool:
    match node:
        case ast.Raise() | ast.Expr(value=ast.Call(func=ast.Attribute(attr="warn"))):
            return True
    return False


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    yield from _changed_operators(node)
    yield from _changed_values(node)
    yield from _changed_calls(node)
    yield from _changed_statements(node)


def _changed_operators(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.BinOp() | ast.AugAssign() if type(node.op) in _OPERATORS:
            yield "operator", _with(node, op=_OPERATORS[type(node.op)]())
        case ast.Compare():
            for i, operator in enumerate(node.ops):
                for other in _COMPARISONS[type(operator)]:
                    ops = [*node.ops[:i], other(), *node.ops[i + 1 :]]
                    yield "comparison", _with(node, ops=ops)
        case ast.BoolOp():
            yield "boolean", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        case ast.UnaryOp():
            yield "boolean" if isinstance(node.op, ast.Not) else "operator", node.operand
        case ast.If() | ast.IfExp() | ast.While() if _is_plain(node.test):
            yield "boolean", _with(node, test=ast.UnaryOp(ast.Not(), node.test))


def _changed_values(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Constant(value=bool(value)):
            yield "constant", ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield "constant", ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield "constant", ast.Constant(2 * value or 1.0)
        case ast.Constant(value=str(value)):
            yield "text", ast.Constant(f"XX{value}")


def _changed_calls(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if not isinstance(node, ast.Call):
        return
    if len(node.args) > 1 and not any(isinstance(arg, ast.Starred) for arg in node.args[:2]):
        first, second, *others = node.args
        if ast.dump(first) != ast.dump(second):
            yield "arguments", _with(node, args=[second, first, *others])
    for i, keyword in enumerate(node.keywords):
        if keyword.arg is not None:
            rest = [*node.keywords[:i], *node.keywords[i + 1 :]]
            yield "arguments", _with(node, keywords=rest)


def _changed_statements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Break():
            yield "statement", ast.Continue()
        case ast.Continue():
            yield "statement", ast.Break()
        case ast.Raise() | ast.AugAssign() | ast.Expr(value=ast.Call()):
            yield "statement", ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "statement", ast.Pass()


def _is_plain(test: ast.expr) -> bool:
    """Whether no other change turns the condition round."""
    return isinstance(test, ast.Name | ast.Attribute | ast.Call | ast.Subscript)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _shown(node: ast.AST) -> str:
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return text if len(text) <= 90 else f"{text[:87]}..."
