#!/usr/bin/env python3
"""A real SMTP server for the tests: TLS, log-in, and refusals by script.

It prints `listening PORT` and serves until its standard input ends. Into --folder it writes
  NNNN.eml      each message whose content it received, envelope in X-Envelope-* lines on top
  log.ndjson    one line for each thing that happened: {"event", "recipient", "answer"}

--control names a JSON file that is read anew for each mail:
  {"rcpt": {"x@k3.example": "550 5.1.1 no such user",           always
            "y@k4.example": ["451 4.7.1 later", "250"]},        one after the other, then 250
   "mail": {"rebates@we.example": "..."},  "data": {"a@k1.example": ["drop-after", "421 ..."]}}
An answer may be a word instead: `drop` closes the connection, `stall` never answers; for data,
`drop-after` and `stall-after` take the content, keep it, and then give no answer.
"""

import argparse
import asyncio
import json
import ssl
import sys
import threading
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult


class Script:
    """Says what to answer next."""

    def __init__(self, folder, control):
        self.folder, self.control = folder, control
        self.used, self.count, self.lock = {}, 0, threading.Lock()

    def next(self, verb, address):
        try:
            table = json.loads(self.control.read_text())
        except FileNotFoundError:
            table = {}
        answers = table.get(verb, {}).get(address)
        if answers is None or isinstance(answers, str):
            return answers
        done = self.used.get((verb, address), 0)
        self.used[(verb, address)] = done + 1
        return answers[done] if done < len(answers) else None

    def log(self, event, recipient, answer):
        line = json.dumps({"event": event, "recipient": recipient, "answer": answer})
        with self.lock, open(self.folder / "log.ndjson", "a", encoding="utf-8") as log:
            log.write(line + "\n")

    def keep(self, envelope):
        self.count += 1
        name = f"{self.count:04}"
        head = f"X-Envelope-From: {envelope.mail_from}\r\n".encode()
        head += b"".join(f"X-Envelope-To: {to}\r\n".encode() for to in envelope.rcpt_tos)
        partial = self.folder / (name + ".part")
        partial.write_bytes(head + envelope.original_content)
        partial.rename(self.folder / (name + ".eml"))
        return name


async def obey(server, answer):
    """Carries out the words that are no answers."""
    if answer and answer.startswith("drop"):
        server.transport.abort()
        await asyncio.sleep(0.01)
        return "421 4.0.0 dropped"
    if answer and answer.startswith("stall"):
        await asyncio.sleep(3600)
    return answer


class Handler:
    def __init__(self, script):
        self.script = script

    async def handle_MAIL(self, server, session, envelope, address, options):
        answer = await obey(server, self.script.next("mail", address))
        if answer and not answer.startswith("250"):
            self.script.log("mail", address, answer)
            return answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = self.script.next("rcpt", address)
        self.script.log("rcpt", address, answer or "250")
        answer = await obey(server, answer)
        if answer and not answer.startswith("250"):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):
        recipient = envelope.rcpt_tos[0]
        answer = self.script.next("data", recipient)
        if answer and not answer.endswith("-after") and not answer.startswith("250"):
            self.script.log("data", recipient, answer)
            return await obey(server, answer)
        name = self.script.keep(envelope)
        self.script.log("data", recipient, answer or "250")
        await obey(server, answer)
        return f"250 2.0.0 Ok: queued as {name}"


def smtp_options(options, context):
    """What the server offers."""
    smtp = {"timeout": options.idle, "hostname": "localhost", "enable_SMTPUTF8": False}
    if options.tls == "starttls":
        smtp.update(tls_context=context, require_starttls=True)
    if options.login:
        user, password = options.login.split(":", 1)

        def check(server, session, envelope, mechanism, data):
            right = data.login == user.encode() and data.password == password.encode()
            return AuthResult(success=right, handled=False)

        smtp.update(authenticator=check, auth_required=True, auth_require_tls=options.tls == "starttls")
    return smtp


async def serve(options, context):
    handler = Handler(Script(options.folder, options.control))
    smtp = smtp_options(options, context)
    loop = asyncio.get_running_loop()
    implicit = context if options.tls == "implicit" else None
    server = await loop.create_server(lambda: SMTP(handler, loop=loop, **smtp), "127.0.0.1", options.port, ssl=implicit)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    # The test holds our standard input; when it goes, so do we.
    await loop.run_in_executor(None, sys.stdin.read)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--control", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", choices=["implicit", "starttls", "none"], default="implicit")
    parser.add_argument("--cert", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--login", help="user:password that must be given")
    parser.add_argument("--idle", type=float, default=300, help="seconds after which an idle connection is closed")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    context = None
    if options.tls != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert, options.key)
    asyncio.run(serve(options, context))


if __name__ == "__main__":
    main()
