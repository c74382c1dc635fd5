"""Which address shows what. All are asked with GET, but for the one that stops the trader."""

import hmac
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import bokeh
from flask import Flask, Response, current_app, jsonify, make_response, redirect, render_template, request, send_from_directory
from werkzeug.exceptions import BadRequest, Forbidden, NotFound

from Live.audit_logger.listing import LISTINGS
from Live.audit_logger.reader import AuditReader, RecordUnavailable
from Live.audit_logger.shown import OrderRows, Shown
from Live.dashboard import answers, api, drawing
from Live.dashboard.api import ENDPOINTS, SEEDS, V1, Endpoint, Source
from Live.dashboard.asking import Argument, by_name, given
from Live.dashboard.guard import COOKIE, NONCE, Token, comes_from_us
from Live.dashboard.openapi import description
from Live.dashboard.stopping import make_stop_files, stop_files
from Live.dashboard.story import moment, number, story

PAGES = ["overview", "chart", "orders", "signals", "trades", "events", "performance", "runs", "settings"]
WITH_CHARTS = ("overview", "chart")
BOKEH = Path(bokeh.__file__).parent / "server" / "static" / "js"
STATIC = Path(__file__).parent / "static"

MOST_STREAMS = 12  # each holds a thread for as long as its page is open; who comes too late asks every 2 seconds instead
STREAM_SECONDS = 1.0
LARGEST_ID = 2**63 - 1

FIGURE = by_name(
    Argument("theme", "light or dark.", one_of=("light", "dark"), default="light"),
    Argument("only_sources", "true leaves out the picture itself.", "boolean", default=False),
)
FIGURES = {"equity": FIGURE, "price": {**FIGURE, **api.CHART}}


def add_routes(app: Flask, source: Source, token: Token) -> None:
    """All addresses of the page."""
    app.add_url_rule("/static/bokeh.min.js", "bokeh", lambda: send_from_directory(BOKEH, "bokeh.min.js"), methods=["GET"])
    app.add_url_rule("/static/<path:filename>", "static", app.send_static_file, methods=["GET"])
    _add_pages(app, source, token)
    _add_answers(app, source)
    app.add_url_rule("/health", "health", partial(_health, source), methods=["GET"])
    app.add_url_rule(f"{V1}/session", "session", partial(_session, token), methods=["GET"])
    app.add_url_rule(f"{V1}/stream", "stream", partial(_stream, source, threading.BoundedSemaphore(MOST_STREAMS)), methods=["GET"])
    app.add_url_rule("/stop", "stop", partial(_stop, source, token), methods=["POST"])


def _add_pages(app: Flask, source: Source, token: Token) -> None:
    for page in PAGES:
        path = "/" if page == "overview" else f"/{page}"
        app.add_url_rule(path, page, partial(_page, source, page), methods=["GET"])
    app.add_url_rule("/orders/<int:order_id>", "order", partial(_order, source), methods=["GET"])
    app.add_url_rule("/orders/<int:order_id>.html", "order_file", partial(_order_file, source), methods=["GET"])
    app.add_url_rule("/stop", "stop_page", partial(_stop_page, source, token), methods=["GET"])
    app.add_url_rule("/login", "login", lambda: render_template("login.html"), methods=["GET"])
    app.jinja_env.filters |= {"number": number, "moment": moment}
    app.jinja_env.globals["pages"] = PAGES


def _add_answers(app: Flask, source: Source) -> None:
    def add(path: str, answer: Callable[[], Any]) -> None:
        app.add_url_rule(path, path, answer, methods=["GET"])

    for endpoint in SEEDS:
        add(endpoint.path, partial(_answer, source, endpoint))
    for endpoint in ENDPOINTS:
        add(f"{V1}{endpoint.path}", partial(_answer, source, endpoint))
        if endpoint.listing is not None:
            add(f"{V1}{endpoint.path}.csv", partial(_csv, source, endpoint.path.strip("/")))
    add(f"{V1}/openapi.json", lambda: jsonify_whole(description()))
    for name in FIGURES:
        add(f"/figures/{name}.json", partial(_figure, source, name))


# pages


def _page(source: Source, page: str) -> tuple[str, int]:
    problem = source.turns.shared("problem", partial(_problem, source))
    nonce = _nonce() if page in WITH_CHARTS else ""
    template = "list.html" if page in LISTINGS else f"{page}.html"
    filters = (
        [argument for argument in api.export_arguments(LISTINGS[page]).values() if argument.name != "limit"] if page in LISTINGS else []
    )
    return render_template(template, page=page, problem=problem, nonce=nonce, filters=filters), 503 if problem else 200


def _problem(source: Source) -> str:
    try:
        AuditReader(source.db_path, source.clock).close()
    except RecordUnavailable as problem:
        return str(problem)
    return ""


def _nonce() -> str:
    nonce = secrets.token_urlsafe(16)
    request.environ[NONCE] = nonce
    return nonce


def _rows_of(source: Source, order_id: int) -> OrderRows:
    if order_id > LARGEST_ID:
        raise NotFound("There is no such order.")
    rows = source.turns.alone(partial(_looked_up, source, order_id))
    if rows is None:
        raise NotFound("There is no such order.")
    return rows


def _looked_up(source: Source, order_id: int) -> OrderRows | None:
    with Shown(source.db_path, source.clock) as reader:
        return reader.order_rows(order_id)


def _order(source: Source, order_id: int) -> str:
    rows = _rows_of(source, order_id)
    return render_template("order.html", page="orders", order=rows.order, run=rows.run, steps=story(rows), problem="", nonce="")


def _order_file(source: Source, order_id: int) -> Response:
    """The same page as a file that needs nothing else: its style is in it, and it has no script."""
    rows = _rows_of(source, order_id)
    style = (STATIC / "order.css").read_text(encoding="utf-8")
    text = render_template("order_file.html", order=rows.order, run=rows.run, steps=story(rows), style=style)
    answer = make_response(text)
    answer.headers["Content-Disposition"] = f'attachment; filename="order_{order_id}.html"'
    return answer


# answers


def _answer(source: Source, endpoint: Endpoint) -> Response:
    asked = given(request.args, endpoint.arguments)
    return _shared(source, endpoint.path, asked, lambda: current_app.json.dumps(endpoint.answer(source, asked)))


def _shared(source: Source, path: str, asked: Mapping[str, object], make: Callable[[], str]) -> Response:
    """JSON that everybody gets who asks the same at the same time."""
    return Response(source.turns.shared((path, *sorted(asked.items())), make), mimetype="application/json")


def _csv(source: Source, name: str) -> Response:
    listing = LISTINGS[name]
    lines = api.exported(source, listing, given(request.args, api.export_arguments(listing)))
    answer = Response(lines, mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


def _figure(source: Source, name: str) -> Response:
    asked = given(request.args, FIGURES[name])
    return _shared(source, f"/figures/{name}", asked, partial(_equity_figure if name == "equity" else _price_figure, source, asked))


def _equity_figure(source: Source, asked: Mapping[str, object]) -> str:
    with AuditReader(source.db_path, source.clock) as reader:
        points: Any = answers.equity(reader)["points"]
    numbers = {"sources": drawing.equity_sources(points)}
    return _with_picture(numbers, "" if asked["only_sources"] else drawing.equity_picture(str(asked["theme"])))


def _price_figure(source: Source, asked: Mapping[str, object]) -> str:
    about, rows = api.chart_rows(source, asked)
    sources = drawing.price_sources(rows)
    numbers = {**about, "sources": sources, "decimals": drawing.decimals(sources["bars"])}
    return _with_picture(numbers, "" if asked["only_sources"] else drawing.price_picture(drawing.lines_of(rows.lines), str(asked["theme"])))


def _with_picture(numbers: Mapping[str, Any], picture: str) -> str:
    text = answers.whole_json(numbers)
    return f'{text[:-1]},"item":{picture}}}' if picture else text


def jsonify_whole(value: Any) -> Response:
    """Values that we made ourselves, as deep as they are; a text of somebody else's in them was cut before."""
    return Response(answers.whole_json(value), mimetype="application/json")


def _health(source: Source) -> tuple[Response, int]:
    given(request.args, {})
    answer, code = source.turns.shared("health", partial(_healthy, source))
    return jsonify(answer), code


def _healthy(source: Source) -> tuple[answers.Answer, int]:
    with AuditReader(source.db_path, source.clock) as reader:
        return answers.health(reader, source.clock.now())


def _session(token: Token) -> Response:
    """Whoever gets here has shown the token: a browser gets a cookie for it."""
    given(request.args, {})
    answer = jsonify({"logged_in": True})
    if token.is_asked_for:
        answer.set_cookie(COOKIE, token.cookie, httponly=True, samesite="Strict", secure=request.is_secure)
    return answer


def _stream(source: Source, places: threading.BoundedSemaphore) -> Response | tuple[dict[str, str], int]:
    """Server-sent events: `change` whenever something that is shown may have changed, a comment in between."""
    given(request.args, {})
    if not places.acquire(blocking=False):
        return {"error": "Too many pages follow the trader already: ask every 2 seconds instead."}, 503
    answer = Response(_changes(source), mimetype="text/event-stream")
    answer.call_on_close(places.release)
    return answer


def _changes(source: Source) -> Iterator[str]:
    seen = None
    for turn in count():
        now = source.turns.shared("version", partial(_version, source))
        yield f"event: change\ndata: {turn}\n\n" if now != seen else ": the same\n\n"
        seen = now
        source.clock.sleep(STREAM_SECONDS)


def _version(source: Source) -> str:
    """Another text whenever something that is shown may have changed."""
    try:
        with Shown(source.db_path, source.clock) as reader:
            now = reader.version()
    except RecordUnavailable as problem:
        now = str(problem)
    return now + str(source.kill_switch.found())


# stopping


def _stop_page(source: Source, token: Token) -> str:
    given(request.args, {})
    return _stop_shown(source, token, [], [])


def _stop_shown(source: Source, token: Token, made: list[Path], problems: list[str]) -> str:
    found = source.kill_switch.found()
    files = stop_files(source.db_path, source.kill_switch)
    facts = {"found": found, "files": files, "made": made, "problems": problems, "form_token": token.form_token}
    return render_template("stop.html", page="stop", problem="", nonce="", **facts)


def _stop(source: Source, token: Token) -> str | tuple[str, int] | Response:
    """The one thing that changes anything. Only a page of this very address can ask for it."""
    if not comes_from_us(request.host, request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")):
        raise Forbidden("Only this page can do that.")
    if not hmac.compare_digest(request.form.get("token", "").encode("utf-8", "replace"), token.form_token.encode()):
        raise Forbidden("This page is of an earlier dashboard: load it again.")
    if request.form.get("confirm") != "yes":
        raise BadRequest("Confirm that trading is to stop.")
    made, problems = make_stop_files(source.db_path, source.kill_switch, source.clock)
    if problems and not made:
        return _stop_shown(source, token, made, problems), 500
    return redirect("/stop", code=303)  # type: ignore[return-value]  # werkzeug's Response is Flask's base
