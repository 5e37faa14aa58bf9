"""Which commands move objects between folders, boxes and regions, and their flags."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from littoral.cli.flags import seconds, settings_flags, settings_of, times


def add(parts: Any) -> None:
    """Under ``littoral box``."""
    _transfer(parts)
    _verify(parts)
    _jobs(parts)


def _transfer(parts: Any) -> None:
    made = parts.add_parser(
        "transfer",
        help="a folder or a bucket into a bucket: parallel, resumable, checked",
        description="Copy a folder, or what lies at s3://BUCKET/PREFIX, to s3://BUCKET/PREFIX at an S3 endpoint, and "
        "see that it is there. The same command goes on where it was stopped. Keys are in AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or in a file.",
    )
    made.add_argument("source", help="a folder, or s3://BUCKET/PREFIX")
    made.add_argument("destination", help="s3://BUCKET/PREFIX")
    made.add_argument("--endpoint", required=True, metavar="URL", help="where the destination is")
    made.add_argument("--keys", type=Path, metavar="FILE", help="its keys (AWS credentials file)")
    made.add_argument("--ca", type=Path, metavar="FILE", help="who signs its certificate (PEM)")
    made.add_argument("--from-endpoint", metavar="URL", help="where the source is (default: as the destination)")
    made.add_argument("--from-keys", type=Path, metavar="FILE", help="its keys")
    made.add_argument("--from-ca", type=Path, metavar="FILE", help="who signs its certificate (PEM)")
    made.add_argument("--report", type=Path, metavar="FILE", help="where the signed report goes")
    _how(made)
    made.set_defaults(command=_run_transfer)


def _how(parser: Any) -> None:
    parser.add_argument("--parallel", type=times, default=6, metavar="N", help="requests at once (default: 6)")
    parser.add_argument(
        "--give-up", type=seconds, default=900.0, metavar="SECONDS", help="after nothing has gone on (default: 900)"
    )
    parser.add_argument(
        "--patience", type=seconds, default=60.0, metavar="SECONDS", help="of silence on a connection (default: 60)"
    )
    parser.add_argument("--no-batches", action="store_true", help="send each small file by itself")
    parser.add_argument(
        "--no-wide-records",
        action="store_true",
        help="send large files in the records of TLS itself, also where the other side knows wider ones",
    )
    parser.add_argument("--json", action="store_true", help="progress as a JSON object a second")


def _chosen(options: argparse.Namespace) -> Any:
    from littoral.cli.transfer import How

    return How(
        options.parallel,
        options.give_up,
        options.patience,
        batches=not options.no_batches,
        wide=not options.no_wide_records,
        as_json=options.json,
    )


def _run_transfer(options: argparse.Namespace) -> int:
    from littoral.cli import transfer

    far = transfer.end_of(options.endpoint, options.keys, options.ca)
    near = (
        transfer.end_of(options.from_endpoint, options.from_keys or options.keys, options.from_ca)
        if options.from_endpoint
        else None
    )
    return transfer.transfer(options.source, options.destination, near, far, options.report, _chosen(options))


def _verify(parts: Any) -> None:
    made = parts.add_parser(
        "verify",
        help="a transfer's report: whole, and whose",
        description="See that a report is what its signer has signed. Exit code 1 when it is not.",
    )
    made.add_argument("report", type=Path)
    made.add_argument("--signer", type=Path, metavar="FILE", help="certificate (PEM) that must have signed it")
    made.add_argument("--json", action="store_true", help="as JSON")
    made.set_defaults(command=_run_verify)


def _run_verify(options: argparse.Namespace) -> int:
    from littoral.cli import transfer

    return transfer.verify(options.report, options.signer, as_json=options.json)


def _jobs(parts: Any) -> None:
    made = parts.add_parser(
        "manifest",
        help="in the region: what a job's box is prepared with",
        description="Write the manifest of a job of the region that runs here, for littoral box prepare.",
    )
    made.add_argument("job", metavar="JOB")
    made.add_argument("--file", type=Path, metavar="FILE", help="where to (default: JOB.manifest)")
    made.add_argument("--code", action="store_true", help="print the unlock code, too: an export unlocks the box here")
    made.add_argument("--ready", action="store_true", help="the box is prepared and locked, and may be carried away")
    settings_flags(made)
    made.set_defaults(command=_run_manifest)
    for name, word, into_box in (("import", "--from", False), ("export", "--to", True)):
        moved = parts.add_parser(
            name,
            help="in the region: " + ("fill a job's box" if into_box else "take in what a job's box brings"),
            description="Between the buckets of the region that runs here and the unlocked box of a job. The same "
            "command goes on where it was stopped.",
        )
        moved.add_argument("job", metavar="JOB")
        moved.add_argument(word, dest="url", required=True, metavar="URL", help="the box's S3 endpoint")
        _how(moved)
        settings_flags(moved)
        moved.add_argument(
            "--background",
            action="store_true",
            help="the region carries it out, also over restarts of its own; littoral box progress shows it",
        )
        moved.set_defaults(command=_run_job, into_box=into_box)
    shown = parts.add_parser(
        "progress",
        help="in the region: how far a job's import or export is",
        description="Of a job of the region that runs here. Exit code 1 while it is not over.",
    )
    shown.add_argument("job", metavar="JOB")
    shown.add_argument("--stop", action="store_true", help="end the transfer that goes on in the background")
    shown.add_argument("--json", action="store_true", help="as JSON")
    settings_flags(shown)
    shown.set_defaults(command=_run_progress)


def _run_manifest(options: argparse.Namespace) -> int:
    from littoral.cli import boxjob

    return boxjob.manifest(settings_of(options), options.job, options.file, code=options.code, ready=options.ready)


def _run_job(options: argparse.Namespace) -> int:
    from littoral.cli import boxjob
    from littoral.cli.asking import Failed
    from littoral.cli.transfer import How

    if options.background and _chosen(options) != How():
        raise Failed(
            "--background: the region carries it out as it does by itself, and takes no other options; leave them out"
        )
    if options.background:
        return boxjob.leave(settings_of(options), options.job, options.url, into_box=options.into_box)
    return boxjob.carry(settings_of(options), options.job, options.url, _chosen(options), into_box=options.into_box)


def _run_progress(options: argparse.Namespace) -> int:
    from littoral.cli import boxjob

    return boxjob.progress(settings_of(options), options.job, stop=options.stop, as_json=options.json)
