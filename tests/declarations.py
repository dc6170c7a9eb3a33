"""What a public header of Fern declares, read from its text.

Knows the C++ that the house's headers are written in, not all of it: namespaces, classes, enums, functions,
variables, aliases and concepts, with or without templates and requires-clauses. Bodies are skipped.
"""
import re

TOKEN = re.compile(r"[A-Za-z_]\w*|\d[\w.']*|::|->|<=>|<=|>=|==|!=|&&|\|\||\.\.\.|\S")
NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
IDENTIFIER = re.compile(r"[A-Za-z_]\w*$")

PRIVATE_NAMESPACES = {"detail", "core", "base", "sync", "io", "pool", "net"}
# These take parentheses, and are not what a declaration declares.
DECORATIONS = {"explicit", "alignas", "decltype", "noexcept", "__attribute__", "requires"}
CLOSE = {"(": ")", "{": "}", "[": "]"}


def tokens_of(text):
    text = DIRECTIVE.sub("", NOISE.sub(lambda match: " " if match[0][0] == "/" else "0", text))
    return TOKEN.findall(text)


class Declarations:
    """The names that one header declares in namespace fern, as `Type`, `Type::member` or `function`."""

    def __init__(self, text):
        self.tokens = tokens_of(text)
        self.at = 0
        self.names = set()
        self.scope_body([], hidden=True, kind="namespace")

    # -- reading ------------------------------------------------------------------------------------------------

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def skip_group(self):
        """Skips the balanced group that starts here, brackets included."""
        stack = []
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.at += 1
            if token in CLOSE:
                stack.append(CLOSE[token])
            elif stack and token == stack[-1]:
                stack.pop()
            if not stack:
                return

    def skip_angles(self):
        """Skips <...>, where a comparison stands in parentheses only."""
        depth = 0
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token in CLOSE:
                self.skip_group()
                continue
            self.at += 1
            depth += (token == "<") - (token == ">")
            if depth == 0:
                return

    def skip_constraint(self):
        """Skips what follows `requires` before a declaration: primary expressions joined by && and ||."""
        while True:
            if self.peek() == "requires":
                self.at += 1
                if self.peek() == "(":
                    self.skip_group()
                self.skip_group()
            elif self.peek() == "(":
                self.skip_group()
            else:
                self.at += self.peek() == "!"
                while True:
                    self.at += 1
                    if self.peek() == "<":
                        self.skip_angles()
                    if self.peek() != "::":
                        break
                    self.at += 1
            if self.peek() not in ("&&", "||"):
                return
            self.at += 1

    # -- declarations -------------------------------------------------------------------------------------------

    def scope_body(self, scope, hidden, kind):
        """Reads declarations up to the closing brace of the scope."""
        access = "private" if kind == "class" else "public"
        while self.peek() not in (None, "}"):
            if kind in ("class", "struct") and self.peek() in ("public", "private", "protected"):
                access = self.peek()
                self.at += 2
                continue
            self.declaration(scope, hidden or access != "public", kind)
        self.at += 1

    def declaration(self, scope, hidden, kind):
        if self.peek() == "template":
            self.at += 1
            if self.peek() != "<":
                return self.skip_statement()  # an explicit instantiation
            self.skip_angles()
            if self.peek() == "requires":
                self.at += 1
                self.skip_constraint()
            return self.declaration(scope, hidden, kind)
        while self.peek() == "[" and self.tokens[self.at + 1] == "[":
            self.skip_group()
        first = self.peek()
        if first == ";":
            self.at += 1
        elif first in ("inline", "extern") and self.tokens[self.at + 1] in ("namespace", "template", "0"):
            self.at += 1
            if self.peek() == "0":
                self.at += 1
                if self.peek() == "{":  # extern "C" { ... }
                    self.at += 1
                    return self.scope_body(scope, hidden, kind)
            return self.declaration(scope, hidden, kind)
        elif first == "namespace":
            self.namespace(scope, hidden)
        elif first in ("friend", "static_assert", "typedef"):
            self.skip_statement()
        elif first == "using":
            self.alias(scope, hidden)
        elif first == "concept":
            self.declare(scope, hidden, self.tokens[self.at + 1])
            self.skip_statement()
        elif first in ("class", "struct", "union", "enum"):
            self.type(scope, hidden)
        else:
            self.function_or_variable(scope, hidden)

    def declare(self, scope, hidden, name):
        if not hidden and not name.endswith("_"):
            self.names.add("::".join([*scope, name]))

    def skip_statement(self):
        """Skips to the end of a declaration: a semicolon, or the body of a function."""
        while self.at < len(self.tokens):
            token = self.peek()
            if token == "{":
                self.skip_group()
                if self.peek() not in (";", ",", "{"):
                    return
            elif token in CLOSE:
                self.skip_group()
            else:
                self.at += 1
                if token == ";":
                    return

    def namespace(self, scope, hidden):
        path = []
        while self.peek() not in ("{", "=", ";"):
            path.append(self.peek())
            self.at += 1
        if self.peek() != "{":
            return self.skip_statement()
        names = [name for name in path[1:] if name not in ("::", "inline")]
        if not scope and names[:1] == ["fern"]:
            names, hidden = names[1:], False
        self.at += 1
        self.scope_body([*scope, *names], hidden or bool(PRIVATE_NAMESPACES & set(names)), "namespace")

    def alias(self, scope, hidden):
        name, after = self.tokens[self.at + 1], self.tokens[self.at + 2]
        if after in ("=", "["):
            self.declare(scope, hidden, name)
        self.skip_statement()

    def type(self, scope, hidden):
        kind = self.peek()
        start = self.at
        self.at += 1
        if self.peek() in ("class", "struct"):  # enum class
            self.at += 1
        name = None
        while self.peek() not in ("{", ";", ":", "(", "=", None):
            token = self.peek()
            if token == "[" or token in ("alignas", "__attribute__"):
                self.at += token != "["
                self.skip_group()
                continue
            if token == "<":
                self.skip_angles()
                continue
            if token == "::":  # struct std::hash<...>: somebody else's
                hidden = True
            elif IDENTIFIER.match(token) and token not in ("FERN_API", "final"):
                if name is not None:  # struct stat buffer: a variable of an elaborated type
                    self.at = start + 1
                    return self.function_or_variable(scope, hidden)
                name = token
            self.at += 1
            if token == "::":
                name = None
        if self.peek() in ("(", "="):
            self.at = start + 1
            return self.function_or_variable(scope, hidden)
        if self.peek() == ":":
            while self.peek() not in ("{", ";"):
                self.at += 1
        if self.peek() != "{":
            return self.skip_statement()  # declared only; its home defines it
        self.declare(scope, hidden, name)
        if kind == "enum":
            self.enumerators([*scope, name], hidden)
        else:
            self.at += 1
            self.scope_body([*scope, name], hidden, kind)
        self.skip_statement()

    def enumerators(self, scope, hidden):
        self.at += 1
        while self.peek() != "}":
            self.declare(scope, hidden, self.peek())
            while self.peek() not in (",", "}"):
                if self.peek() in CLOSE:
                    self.skip_group()
                else:
                    self.at += 1
            if self.peek() == ",":
                self.at += 1
        self.at += 1

    def function_or_variable(self, scope, hidden):
        """The name is what stands before the parameter list, else before the initialiser."""
        head = []
        while self.peek() not in ("(", ";", "=", "{", ":", "[", None):
            token = self.peek()
            if token in DECORATIONS:
                self.at += 1
                if self.peek() == "(":
                    self.skip_group()
                if token == "decltype":
                    head.append("auto")
                continue
            if token == "operator":
                return self.skip_statement()
            if token == "<":
                self.skip_angles()
                head.append("<>")
                continue
            head.append(token)
            self.at += 1
        function = self.peek() == "("
        head = [token for token in head if token not in ("FERN_API", "virtual", "static", "inline", "constexpr")]
        name = head[-1] if head else ""
        owner = scope[-1] if scope else None
        special = name == owner or "~" in head[-2:] or (function and len(head) == 1)
        foreign = len(head) > 1 and head[-2] == "::"  # a member defined outside its class
        if IDENTIFIER.match(name) and not special and not foreign:
            self.declare(scope, hidden, name)
        self.skip_statement()


def declared_in(text):
    return Declarations(text).names
