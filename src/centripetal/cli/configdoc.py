"""The reference of all options, as Markdown or as a page."""

from __future__ import annotations

import html
import http.server
import re
import webbrowser

import click

_CELL = re.compile(r"(?<!\\)\|")
_STYLE = "body{font:15px sans-serif;margin:2em}td,th{border:1px solid #ccc;padding:4px 8px;text-align:left}"


@click.command()
@click.option("-m", "--markdown", is_flag=True, help="Print Markdown instead of serving a page.")
@click.option("-s", "--section", default="", metavar="NAME", help="Only this top-level section.")
@click.option("-p", "--port", default=6060, show_default=True, help="Port of the page.")
@click.option("-l", "--base-level", default=0, show_default=True, help="How much deeper headings are than usual.")
def configdoc(markdown: bool, section: str, port: int, base_level: int) -> None:
    """Shows the reference of all options, in a browser unless told otherwise."""
    from centripetal.config.reference import render_markdown

    try:
        text = render_markdown(section, base_level)
    except KeyError:
        raise click.ClickException(f"--section: there is no section {section!r}") from None
    if markdown:
        click.echo(text, nl=False)
        return
    _serve_page(to_html(text), port)


def to_html(markdown: str) -> str:
    """Returns the reference as a page; it knows headings, paragraphs, lists and tables."""
    parts = [f"<!doctype html><meta charset=utf-8><title>Configuration</title><style>{_STYLE}</style>"]
    for block in markdown.split("\n\n"):
        first = block.split("\n", 1)[0]
        if first.startswith("#"):
            level = min(len(first) - len(first.lstrip("#")), 6)
            title = first.lstrip("# ")
            anchor = title.strip("`").lower().replace(" ", "-")
            parts.append(f'<h{level} id="{html.escape(anchor)}">{_inline(title)}</h{level}>')
        elif first.startswith("|"):
            parts.append(_table(block.split("\n")))
        elif first.startswith("- "):
            items = block.removeprefix("- ").split("\n- ")
            parts.append("<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>")
        else:
            parts.append(f"<p>{_inline(block)}</p>")
    return "\n".join(parts)


def _table(lines: list[str]) -> str:
    rows = [[cell.strip() for cell in _CELL.split(line.strip("|"))] for line in lines]
    head = "".join(f"<th>{_inline(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in rows[2:])
    return f"<table><tr>{head}</tr>{body}</table>"


def _inline(text: str) -> str:
    text = html.escape(text.replace("\\|", "|").replace("&lt;", "<"))
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    return re.sub(r"\[([^\]]+)\]\((#[^)]+)\)", r'<a href="\2">\1</a>', text)


def _serve_page(page: str, port: int) -> None:
    content = page.encode()

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing about requests."""

    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Page)
    except (OSError, OverflowError) as error:
        raise click.ClickException(f"--port: cannot listen on 127.0.0.1:{port}: {error}") from error
    address = f"http://127.0.0.1:{port}/"
    print(f"the reference is at {address} (Ctrl+C ends)", flush=True)
    webbrowser.open(address)
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
