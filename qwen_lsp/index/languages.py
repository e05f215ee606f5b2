"""Every language that the code knows by more than its name: one row of data each. No parser is loaded here.

To add a language, add a row, a query (`queries/<name>.scm`) and a golden file (`tests/qwen_lsp/index/golden/<name>/`,
written by UPDATE_GOLDEN=1 from a source that you put beside it); `test_symbols.py` fails where one of them is missing.
A file of any other language is paragraphs and words.
"""

import re
from pathlib import PurePath

from qwen_lsp.index.language import Language

_C_BLOCK = ("/*", "*/")
_JS_NAMES = ("identifier", "property_identifier", "shorthand_property_identifier", "private_property_identifier")
_JS_FUNCTIONS = ("function_declaration", "method_definition", "generator_function_declaration")
_C_NAMES = ("identifier", "field_identifier", "type_identifier")

LANGUAGES = (
    Language(
        "python",
        (".py", ".pyi", ".pyw"),
        ("tree_sitter_python", "language"),
        ("python",),
        functions=("function_definition",),
        line_comment="#",
        file_names=("SConstruct", "SConscript"),
        interpreters=("python", "pypy"),
    ),
    Language(
        "javascript",
        (".js", ".mjs", ".cjs"),
        ("tree_sitter_javascript", "language"),
        ("ecmascript", "javascript"),
        identifiers=_JS_NAMES,
        functions=_JS_FUNCTIONS,
        line_comment="//",
        block_comment=_C_BLOCK,
        interpreters=("node", "bun"),
    ),
    Language(
        "javascriptreact",
        (".jsx",),
        ("tree_sitter_javascript", "language"),
        ("ecmascript", "javascript"),
        identifiers=_JS_NAMES,
        functions=_JS_FUNCTIONS,
        line_comment="//",
        block_comment=_C_BLOCK,
        aliases=("jsx",),
    ),
    Language(
        "typescript",
        (".ts", ".mts", ".cts"),
        ("tree_sitter_typescript", "language_typescript"),
        ("ecmascript", "typescript"),
        identifiers=(*_JS_NAMES, "type_identifier"),
        functions=_JS_FUNCTIONS,
        line_comment="//",
        block_comment=_C_BLOCK,
        interpreters=("deno", "ts-node"),
    ),
    Language(
        "typescriptreact",
        (".tsx",),
        ("tree_sitter_typescript", "language_tsx"),
        ("ecmascript", "typescript"),
        identifiers=(*_JS_NAMES, "type_identifier"),
        functions=_JS_FUNCTIONS,
        line_comment="//",
        block_comment=_C_BLOCK,
        aliases=("tsx",),
    ),
    Language(
        "rust",
        (".rs",),
        ("tree_sitter_rust", "language"),
        ("rust",),
        identifiers=("identifier", "field_identifier", "type_identifier", "shorthand_field_identifier"),
        functions=("function_item",),
        line_comment="//",
        block_comment=_C_BLOCK,
    ),
    Language(
        "go",
        (".go",),
        ("tree_sitter_go", "language"),
        ("go",),
        identifiers=("identifier", "field_identifier", "type_identifier", "package_identifier"),
        functions=("function_declaration", "method_declaration"),
        depth=5,  # a struct's fields; methods stand beside their types
        line_comment="//",
        block_comment=_C_BLOCK,
    ),
    Language(
        "java",
        (".java",),
        ("tree_sitter_java", "language"),
        ("java",),
        identifiers=("identifier", "type_identifier"),
        functions=("method_declaration", "constructor_declaration"),
        line_comment="//",
        block_comment=_C_BLOCK,
    ),
    Language(
        "c",
        (".c", ".h"),
        ("tree_sitter_c", "language"),
        ("c",),
        identifiers=_C_NAMES,
        functions=("function_definition",),
        line_comment="//",
        block_comment=_C_BLOCK,
    ),
    Language(
        "cpp",
        (".cc", ".cpp", ".cxx", ".c++", ".hpp", ".hh", ".hxx", ".h++", ".ipp", ".tpp", ".inl", ".cu", ".cuh"),
        ("tree_sitter_cpp", "language"),
        ("c", "cpp"),
        identifiers=(*_C_NAMES, "namespace_identifier"),
        functions=("function_definition",),
        line_comment="//",
        block_comment=_C_BLOCK,
        aliases=("cuda-cpp", "cuda"),
    ),
    Language(
        "csharp",
        (".cs", ".csx"),
        ("tree_sitter_c_sharp", "language"),
        ("csharp",),
        functions=("method_declaration", "constructor_declaration", "local_function_statement"),
        line_comment="//",
        block_comment=_C_BLOCK,
        aliases=("cs", "c-sharp"),
    ),
    Language(
        "ruby",
        (".rb", ".rake", ".gemspec", ".ru"),
        ("tree_sitter_ruby", "language"),
        ("ruby",),
        identifiers=("identifier", "constant", "instance_variable", "class_variable", "global_variable"),
        line_comment="#",
        file_names=("Rakefile", "Gemfile", "Guardfile", "Vagrantfile", "Podfile"),
        interpreters=("ruby",),
    ),
    Language(
        "php",
        (".php", ".phtml"),
        ("tree_sitter_php", "language_php"),
        ("php",),
        identifiers=("name",),
        functions=("function_definition", "method_declaration"),
        line_comment="//",
        block_comment=_C_BLOCK,
        interpreters=("php",),
    ),
    Language(
        "kotlin",
        (".kt", ".kts"),
        ("tree_sitter_kotlin", "language"),
        ("kotlin",),
        line_comment="//",
        block_comment=_C_BLOCK,
    ),
    Language(
        "swift",
        (".swift",),
        ("tree_sitter_swift", "language"),
        ("swift",),
        identifiers=("simple_identifier", "type_identifier"),
        line_comment="//",
        block_comment=_C_BLOCK,
        interpreters=("swift",),
    ),
    Language(
        "scala",
        (".scala", ".sc", ".sbt"),
        ("tree_sitter_scala", "language"),
        ("scala",),
        identifiers=("identifier", "type_identifier", "operator_identifier"),
        line_comment="//",
        block_comment=_C_BLOCK,
        interpreters=("scala", "scala-cli"),
    ),
    Language(
        "lua",
        (".lua",),
        ("tree_sitter_lua", "language"),
        ("lua",),
        line_comment="--",
        block_comment=("--[[", "]]"),
        interpreters=("lua", "luajit"),
    ),
    Language(
        "shellscript",
        (".sh", ".bash", ".zsh", ".ksh"),
        ("tree_sitter_bash", "language"),
        ("shellscript",),
        identifiers=("command_name", "variable_name"),
        line_comment="#",
        file_names=(".bashrc", ".bash_profile", ".profile", ".zshrc", "PKGBUILD"),
        interpreters=("sh", "bash", "dash", "zsh", "ksh"),
        aliases=("bash", "sh", "zsh"),
    ),
    Language(
        "html",
        (".html", ".htm", ".xhtml"),
        ("tree_sitter_html", "language"),
        ("html",),
        identifiers=(),
        depth=64,  # elements are nested, not scopes
        block_comment=("<!--", "-->"),
    ),
    Language(
        "css",
        (".css",),
        ("tree_sitter_css", "language"),
        ("css",),
        identifiers=(),
        block_comment=_C_BLOCK,
    ),
    Language(
        "json",
        (".json", ".jsonc", ".json5", ".webmanifest"),
        ("tree_sitter_json", "language"),
        ("json",),
        identifiers=(),
        file_names=(".babelrc", ".eslintrc", ".prettierrc", "composer.lock"),
        aliases=("jsonc", "json5"),
    ),
    Language(
        "yaml",
        (".yaml", ".yml"),
        ("tree_sitter_yaml", "language"),
        ("yaml",),
        identifiers=(),
        line_comment="#",
        file_names=(".clang-format", ".clang-tidy"),
    ),
    Language(
        "toml",
        (".toml",),
        ("tree_sitter_toml", "language"),
        ("toml",),
        identifiers=(),
        line_comment="#",
        file_names=("Cargo.lock", "poetry.lock", "uv.lock", "Pipfile"),
    ),
    Language(
        "markdown",
        (".md", ".markdown", ".mdown"),
        ("tree_sitter_markdown", "language"),
        ("markdown",),
        identifiers=(),
        block_comment=("<!--", "-->"),
    ),
)

_BY_ID = {name: row for row in LANGUAGES for name in (row.name, *row.aliases)}
_BY_SUFFIX = {suffix: row for row in LANGUAGES for suffix in row.suffixes}
_BY_FILE_NAME = {name: row for row in LANGUAGES for name in row.file_names}
_BY_INTERPRETER = {name: row for row in LANGUAGES for name in row.interpreters}
_SHEBANG = re.compile(r"#!\s*(?:\S*/)?(?:env\s+(?:-S\s+)?(?:\w+=\S*\s+)*(?:\S*/)?)?([A-Za-z_+-]+)")


def language_named(language_id: str) -> Language | None:
    """The row of an id that an editor sent; None for a language without one."""
    return _BY_ID.get(language_id)


def language_of(path: str | PurePath, first_line: str = "") -> Language | None:
    """By the file's name, its suffix, or a first line that names an interpreter; None for anything else."""
    name = (path if isinstance(path, str) else path.name).rpartition("/")[2]
    suffix = suffix_of(name)
    found = _BY_FILE_NAME.get(name) or _BY_SUFFIX.get(suffix.lower())
    if found is None and not suffix and (shebang := _SHEBANG.match(first_line)):
        return _BY_INTERPRETER.get(shebang[1])
    return found


def suffix_of(name: str) -> str:
    """Of a bare name, as `PurePath.suffix`: three times as quick, and asked for each file of a walk."""
    dot = name.rfind(".")
    return name[dot:] if 0 < dot < len(name) - 1 else ""
