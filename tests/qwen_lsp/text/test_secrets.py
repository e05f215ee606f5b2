"""What is a credential and what is code; and that masking moves nothing."""

import base64
import json
import random
import string
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qwen_lsp.text import secrets
from qwen_lsp.text.document import Change, changed, opened
from qwen_lsp.text.secrets import STAR, masked, masked_bytes, masked_since, restored

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def made(alphabet: str, length: int, seed: int = 7) -> str:
    """A token of this test's own making: no scanner shall find a real-looking one in this file."""
    chosen = random.Random(seed)
    return "".join(chosen.choice(alphabet) for _ in range(length - 2)) + "a7"


def base64_of(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def jwt(seed: int) -> str:
    head, body = base64_of(json.dumps({"alg": "HS256", "typ": "JWT"})), base64_of(json.dumps({"sub": str(seed)}))
    return f"{head}.{body}.{made(ALNUM + '-_', 43, seed)}"


def tokens(seed: int) -> dict[str, str]:
    upper = string.ascii_uppercase + string.digits
    return {
        "aws": "AKIA" + made(upper.replace("a", ""), 16, seed).upper(),
        "github": "ghp_" + made(ALNUM, 36, seed),
        "github fine": "github_pat_" + made(ALNUM + "_", 82, seed),
        "gitlab": "glpat-" + made(ALNUM + "-_", 20, seed),
        "gitlab runner": "glrt-" + made(ALNUM + "-_", 20, seed),
        "slack": f"xoxb-{made(string.digits, 12, seed)}-{made(ALNUM, 24, seed)}",
        "jwt": jwt(seed),
        "openai": "sk-proj-" + made(ALNUM + "-_", 48, seed),
        "anthropic": "sk-ant-api03-" + made(ALNUM + "-_", 93, seed),
        "stripe": "sk_live_" + made(ALNUM, 24, seed),
        "google": "AIza" + made(ALNUM + "-_", 35, seed),
        "hugging face": "hf_" + made(ALNUM, 34, seed),
        "npm": "npm_" + made(ALNUM, 36, seed),
        "pypi": "pypi-AgEIcHlwaS5vcmc" + made(ALNUM + "-_", 60, seed),
        "sendgrid": f"SG.{made(ALNUM, 22, seed)}.{made(ALNUM, 43, seed)}",
        "docker": "dckr_pat_" + made(ALNUM + "-_", 27, seed),
        "vault": "hvs." + made(ALNUM, 90, seed),
    }


def pem(seed: int, kind: str = "RSA PRIVATE KEY", width: int = 64, n_lines: int = 12) -> str:
    body = base64.b64encode(random.Random(seed).randbytes(width * n_lines * 3 // 4 - 7)).decode()
    lines = [body[at : at + width] for at in range(0, len(body), width)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"])


AROUND = (
    "{}",
    'key = "{}"',
    "# {}",
    "curl -H 'Authorization: Bearer {}' https://example.org",
    "a={},b",
    "\t<k>{}</k>\r\n",
)


@pytest.mark.parametrize("name", tokens(0))
@pytest.mark.parametrize("around", AROUND)
def test_a_token_is_masked_wherever_it_stands(name: str, around: str) -> None:
    for seed in range(20):
        token = tokens(seed)[name]
        text = around.format(token)
        shown = masked(text)
        assert not any(token[at : at + 8] in shown for at in range(len(token) - 8)), (token, shown)
        assert shown == around.format(STAR * len(token))


@pytest.mark.parametrize(
    "line",
    [
        'password = "hunter2"',
        "password: str = 'Tr0ub4dor&3'",
        'DB_PASSWORD="S3cr3t!"',
        "POSTGRES_PASSWORD=s3cr3t-and-l0ng!",
        "POSTGRES_PASSWORD=hunter22",
        "  password: hunter22  ",
        '{"password": "p4ss,word"}',
        'conn.set_password("abc123")',
        "<password>abc123</password>",
        "secret_key_base: 'a1b2c3d4e5f6'",
        "const clientSecret = `8f7e6d5c4b3a`;",
        'passphrase => "x9!y8?z7"',
        "api_key = '" + made(HEX, 32) + "'",
        "API_KEY=" + made(ALNUM, 20),
        '"access_token": "' + made(ALNUM + "+/", 40) + '"',
        "aws_secret_access_key = " + made(ALNUM + "/+", 40),
        "Authorization: Basic " + made(ALNUM, 28),
        "X-Auth-Token: 550e8400-e29b-41d4-a716-446655440000",
        "url = 'postgres://admin:hunter22@db.example.org/shop'",
        "redis://:p4ssw0rd@cache:6379/0",
    ],
)
def test_a_value_that_is_called_a_credential_is_masked(line: str) -> None:
    shown = masked(line)
    assert STAR * 6 in shown and len(shown) == len(line)


@pytest.mark.parametrize(
    "line",
    [
        "password = get_password(user)",
        "password = form.password1",
        "login(user, password=password1)",
        'input(type="password", name="password")',
        'password: "Enter your new password"',
        "password = os.environ['DB_PASSWORD']",
        "password=${DB_PASSWORD}",
        'password = "{{ vault_password }}"',
        'self.token = Token(kind="identifier", text=text)',
        "tokens = tokenizer.encode(text, parse_special=False)",
        "secret = derive_secret_from_something(key1, key2)",
        "def check_password_is_strong_enough(password: str, least_characters_2: int) -> bool:",
        "key = sorted(items, key=lambda item: item.path_of_the_first_definition_2)",
        "https://github.com/python/cpython/blob/main/Lib/test/test_lib2to3.py",
        "from qwen_lsp.context.candidates import a_long_name_of_a_thing_v2",
        "-----BEGIN CERTIFICATE-----",
        "class SkipList: sk_skip_list_of_things = None",
        "if endrec[_ECD_SIGNATURE] == stringEndArchive64:",
        "x = risk_analysis_of_the_whole_portfolio",
        "",
    ],
)
def test_code_about_credentials_stays_code(line: str) -> None:
    assert masked(line) is line


@given(st.integers(), st.sampled_from(["", "    ", "  | ", "# ", ' * "', "+"]), st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_private_key_is_masked_however_it_is_written(seed: int, margin: str, line_end: str) -> None:
    key = pem(seed)
    lines = [margin + line + ('\\n"' if '"' in margin else "") for line in key.split("\n")]
    text = line_end.join(["before = 1", *lines, "after = 2"])
    for shown in (masked(text), masked(text[: len(text) - len(lines[-1]) - 12])):  # also where its end is not there
        body = key.replace("\n", "")[31:-29]
        assert not any(body[at : at + 12] in shown.replace(line_end, "") for at in range(len(body) - 12))
    shown = masked(text)
    assert shown.startswith("before = 1" + line_end) and shown.endswith(line_end + "after = 2")


def test_a_key_in_one_line_of_code() -> None:
    text = 'KEY = "' + pem(3, "OPENSSH PRIVATE KEY", 70).replace("\n", "\\n") + '"\nprint(KEY)\n'
    shown = masked(text)
    assert shown.endswith('-----END OPENSSH PRIVATE KEY-----"\nprint(KEY)\n')
    assert text[60:120] not in shown and len(shown) == len(text)


# Texts that look enough like credentials to reach every branch.
NAMES = (
    "password",
    "secret=",
    " token: ",
    "hunter22",
    "AKIA",
    "ABCDEFGHIJKLMNOP",
    "ghp_",
    "SG",
    "hvs",
    "ATATT",
    "a1B2c3D4e5F6g7H8i9J0",
    "sk-",
)
SIGNS = (
    '"',
    "'",
    "=",
    ":",
    "://",
    "@",
    "\n",
    "\r\n",
    "\r",
    "é",
    "😀",
    " ",
    "*",
    "\\n",
    ".",
    "/",
    "\ud800",
    "\0",
    "\u2028",
)
KEYS = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "QUJDREVGR0hJSktMTU5PUA==", "return x", "eyJ")
PARTS = st.sampled_from((*NAMES, *SIGNS, *KEYS))
TEXTS = st.lists(PARTS, max_size=24).map("".join)


@given(TEXTS | st.text())
@example("-----BEGIN PRIVATE KEY-----\nsecret=secret=ghp_")
def test_masking_moves_nothing_and_is_done_once(text: str) -> None:
    shown = masked(text)
    assert len(shown) == len(text)
    assert all(one == other or (other == STAR and one not in "\r\n \t") for one, other in zip(text, shown, strict=True))
    assert masked(shown) == shown


@given(TEXTS | st.text())
def test_bytes_are_masked_as_their_text_is(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    assert masked_bytes(data) == masked(text).encode("utf-8", "surrogatepass")
    assert (masked_bytes(data) is data) is (masked(text) is text)


def test_the_second_look_is_at_lines_with_stars(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    spans = secrets._spans

    def counted(data: bytes) -> Iterator[tuple[int, int]]:
        looked_at.append(len(data))
        return spans(data)

    monkeypatch.setattr(secrets, "_spans", counted)
    text = "x = 1\n" * 1000 + 'password = "hunter2"\n'
    assert masked(text) == text.replace("hunter2", STAR * 7)
    assert looked_at == [len(text), len('password = "*******"\n')]


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_an_edit_is_masked_as_the_whole_is(head: str, old: str, new: str, tail: str) -> None:
    before, text = head + old + tail, head + new + tail
    assert masked_since(text, before, masked(before)) == masked(text)


@given(st.lists(st.tuples(TEXTS, st.booleans()), max_size=6))
def test_a_document_is_masked_alike_whenever_it_was_asked(edits: list[tuple[str, bool]]) -> None:
    document = opened("file:///a", "python", 0, "password = ''\n")
    for version, (text, asked) in enumerate(edits, 1):
        document = changed(document, [Change(text, (0, 12), (0, 12))], version, "utf-32")
        if asked:
            assert document.masked == masked(document.text)
    assert document.masked == masked(document.text) and document.masked is document.masked
    assert document.shown == document.masked.replace("\r\n", "\n").replace("\r", "\n")


def test_an_answer_that_repeats_stars_means_what_stood_there() -> None:
    text = 'password = "hunter22"  # first\n#########\nsecret = "a1b2c3d4e5"\n/********/\n'
    answer = masked(text).replace("first", "1st")
    assert restored(answer, text) == text.replace("first", "1st")
    assert restored('other = "********"', text) == 'other = "hunter22"', "four characters before it are the same"
    assert restored("x = ********\n", text) == "x = ********\n"


@given(TEXTS, st.text())
def test_restoring_moves_nothing_and_strange_answers_do_no_harm(text: str, answer: str) -> None:
    assert len(restored(masked(text), text)) == len(text)
    restored(answer, text)


def test_a_text_without_any_is_handed_back() -> None:
    text = "x = 1\n" * 1000
    assert masked(text) is text
    assert opened("file:///a", "python", 0, text).shown is text
