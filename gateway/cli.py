"""The command line ``scimgw``: its subcommands, and how each kind of failure is said and exits."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import gateway
from consumers.errors import OperatorError

_SILENT: Final = logging.NullHandler()


class _Parser(argparse.ArgumentParser):
    """A parser that says a mistake in one line (exit code 2)."""

    def error(self, message: str) -> NoReturn:
        """Exit with what was wrong and where help is."""
        self.exit(2, f"{self.prog}: {message}; '{self.prog} --help' shows how\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted."""
    # Without a handler of its own Python would print the client's warnings beside our one line.
    logging.getLogger("aiokafka").addHandler(_SILENT)
    try:
        parsed = _parser().parse_args(arguments)
        module, _, function = parsed.run.partition(":")
        # Only now: '--help' and 'events' must not wait for a web server to load.
        code: int = getattr(importlib.import_module(module), function)(parsed)
        sys.stdout.flush()
        return code
    except OperatorError as error:
        print(f"scimgw: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader ('head', say) has what it wanted; at exit Python would flush into the closed pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"scimgw: {place}{error.strerror or error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="scimgw",
        description="A SCIM 2.0 provisioning gateway.",
        epilog="example: scimgw serve --port 8080 --data ./var",
    )
    parser.add_argument("--version", action="version", version=f"scimgw {gateway.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_gateway(commands)
    _add_tenants(commands)
    _add_log(commands)
    _add_topics(commands)
    _add_config(commands)
    _add_backup(commands)
    _add_worker(commands)
    _add_dead_letters(commands)
    return parser


_Commands = argparse._SubParsersAction


def _command(commands: _Commands[Any], name: str, does: str, example: str, run: str) -> argparse.ArgumentParser:
    """Add a command that ``run`` ("module:function", taking the parsed arguments) carries out."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=does, description=f"{does[0].upper()}{does[1:]}.", epilog=f"example: {example}"
    )
    parser.set_defaults(run=run)
    return parser


def _settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="settings as TOML (default: the file SCIMGW_CONFIG names)")
    parser.add_argument("--data", metavar="DIR", help="data directory (default: SCIMGW_DATA, else ./var)")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of text for people")


def _add_serve(commands: _Commands[Any]) -> None:
    does = "serve SCIM, everything in one process on SQLite in the data directory"
    parser = _command(commands, "serve", does, "scimgw serve --port 8080 --data ./var", "gateway.cli_serve:serve")
    parser.add_argument("--port", metavar="N", type=int, help="main port (default: 8080)")
    parser.add_argument("--host", metavar="H", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--admin", metavar="HOST:PORT", help="port for /metrics and health (default: off)")
    _settings(parser)


def _add_gateway(commands: _Commands[Any]) -> None:
    does = "serve SCIM on Kafka and Redis; as many gateways as wanted"
    example = "scimgw gateway --port 8080 --tenants tenants.toml"
    parser = _command(commands, "gateway", does, example, "gateway.cli_gateway:gateway")
    parser.add_argument("--port", metavar="N", type=int, help="main port (default: 8080)")
    parser.add_argument("--host", metavar="H", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--reuse-port", action="store_true", help="share the port with other gateways on this machine")
    parser.add_argument(
        "--tenants", metavar="FILE", help="the tenants file (default: tenants.toml in the data directory)"
    )
    parser.add_argument("--admin", metavar="HOST:PORT", help="port for /metrics and health (default: off)")
    _settings(parser)


def _add_tenants(commands: _Commands[Any]) -> None:
    example = "scimgw tenants init --file tenants.toml"
    tenants = commands.add_parser(
        "tenants", help="the tenants file", description="The tenants file.", epilog=f"example: {example}"
    )
    actions = tenants.add_subparsers(title="commands", metavar="COMMAND", required=True)
    does = "write a first tenants file with the tenant 'default', and print its token, once"
    parser = _command(actions, "init", does, example, "gateway.cli_files:tenants_init")
    parser.add_argument("--file", metavar="FILE", required=True, help="the file to write; it must not exist")


def _add_log(commands: _Commands[Any]) -> None:
    does = "print the events, one a line, from the earliest to the end"
    example = "scimgw events --follow --from 2026-11-21T08:00:00Z --tenant default"
    events = _command(commands, "events", does, example, "gateway.cli_log:events")
    events.add_argument("--follow", action="store_true", help="go on with new events as they come")
    places = "earliest, latest, PARTITION:OFFSET (that one alone) or an ISO 8601 time"
    events.add_argument(
        "--from", dest="start", metavar="WHERE", default="earliest", help=f"{places} (default: earliest)"
    )
    events.add_argument("--tenant", metavar="T", help="only this tenant's")
    events.add_argument("--meta", action="store_true", help="wrap each as {partition,offset,key,headers,value}")
    _settings(events)

    does = "tell what became of a write; exit code 1 when it is not known"
    example = "scimgw outcome 0199c1f0-5b7e-7c3a-8d21-4f6a1b2c3d4e"
    outcome = _command(commands, "outcome", does, example, "gateway.cli_outcome:outcome")
    outcome.add_argument("txn", metavar="TXN", help="the Scim-Txn of the answer")
    outcome.add_argument("--tenant", metavar="T", help="the tenant (default: each of the tenants file)")
    outcome.add_argument(
        "--tenants", metavar="FILE", help="the tenants file (default: tenants.toml in the data directory)"
    )
    _settings(outcome)
    _json(outcome)


def _add_topics(commands: _Commands[Any]) -> None:
    example = "SCIMGW_KAFKA__BOOTSTRAP=127.0.0.1:9092 scimgw topics check"
    topics = commands.add_parser("topics", help="the topics", description="The topics.", epilog=f"example: {example}")
    actions = topics.add_subparsers(title="commands", metavar="COMMAND", required=True)
    does = "create the topics that are missing, and print each setting as it is and as it should be"
    create = _command(actions, "create", does, "scimgw topics create", "gateway.cli_topics:create")
    does = "print each setting of the topics as it is and as it should be; exit code 1 when one differs"
    check = _command(actions, "check", does, example, "gateway.cli_topics:check")
    for parser in (create, check):
        _settings(parser)
        _json(parser)


def _add_config(commands: _Commands[Any]) -> None:
    example = "SCIMGW_HTTP__PORT=8081 scimgw config show"
    config = commands.add_parser(
        "config", help="the settings", description="The settings.", epilog=f"example: {example}"
    )
    actions = config.add_subparsers(title="commands", metavar="COMMAND", required=True)
    does = "validate the settings and the tenants file, if there is one"
    check = _command(actions, "check", does, "scimgw config check", "gateway.cli_config:config_check")
    _settings(check)
    does = "print the effective settings and where each comes from, secrets masked"
    show = _command(actions, "show", does, example, "gateway.cli_config:config_show")
    _settings(show)
    _json(show)


def _add_backup(commands: _Commands[Any]) -> None:
    does = "copy database, tenants file and server key into a new directory, never the token; also while serving"
    example = "scimgw backup /backups/2026-11-21 --data ./var"
    backup = _command(commands, "backup", does, example, "gateway.cli_files:backup")
    backup.add_argument("to", metavar="TO", help="the directory to make; it must not exist")
    _settings(backup)

    does = "put a backup into a data directory that nobody serves from"
    example = "scimgw restore /backups/2026-11-21 --data ./var"
    restore = _command(commands, "restore", does, example, "gateway.cli_files:restore")
    restore.add_argument("source", metavar="FROM", help="a directory that 'scimgw backup' made")
    restore.add_argument("--force", action="store_true", help="replace what is in the data directory")
    _settings(restore)


def _add_worker(commands: _Commands[Any]) -> None:
    does = "own partitions on Kafka and Redis: decide commands, make them durable, answer; as many workers as wanted"
    worker = _command(commands, "worker", does, "scimgw worker --name worker-1", "gateway.cli_worker:worker")
    worker.add_argument(
        "--name",
        metavar="NAME",
        help="unique, kept across restarts: a restarted worker gets its partitions back (default: any partitions)",
    )
    worker.add_argument("--admin", metavar="HOST:PORT", help="port for /metrics and health (default: off)")
    _settings(worker)

    does = "fill Redis anew from the state topic while workers run; reads answer 503 until it is done"
    rebuild = _command(commands, "rebuild", does, "scimgw rebuild --shard 0", "gateway.cli_worker:rebuild")
    rebuild.add_argument("--shard", metavar="K", type=int, help="only this shard, from 0 (default: all, one by one)")
    _settings(rebuild)


def _add_dead_letters(commands: _Commands[Any]) -> None:
    example = "scimgw dead-letters list"
    letters = commands.add_parser(
        "dead-letters", help="parked commands", description="Parked commands.", epilog=f"example: {example}"
    )
    actions = letters.add_subparsers(title="commands", metavar="COMMAND", required=True)
    does = "print parked commands: place, time, tenant, txn and why, one a line"
    listing = _command(actions, "list", does, example, "gateway.cli_dead_letters:list_letters")
    _settings(listing)
    _json(listing)
    does = "print one parked command whole; it holds personal data"
    show = _command(actions, "show", does, "scimgw dead-letters show 2:17", "gateway.cli_dead_letters:show_letter")
    show.add_argument("place", metavar="PARTITION:OFFSET", help="as 'dead-letters list' prints it")
    _settings(show)
    does = "send parked commands again, as new ones that overtake nothing: refused where the resource has changed since"
    redrive = _command(actions, "redrive", does, "scimgw dead-letters redrive 2:17", "gateway.cli_dead_letters:redrive")
    redrive.add_argument("places", metavar="PARTITION:OFFSET", nargs="*", help="as 'dead-letters list' prints it")
    redrive.add_argument("--all", action="store_true", help="all that are kept")
    _settings(redrive)


if __name__ == "__main__":
    sys.exit(main())
