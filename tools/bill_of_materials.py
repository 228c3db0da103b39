"""Writes a CycloneDX bill of materials beside each wheel: WHEEL.cdx.json.

    python tools/bill_of_materials.py WHEEL ...

It names the wheel with its hash, what pip installs with it, the libraries that auditwheel has put
into it (of auditwheel's own bill, in the wheel), and what is compiled in. It is validated against
CycloneDX's schema before it is written. The same wheel has the same bill.
"""

from __future__ import annotations

import email
import hashlib
import json
import re
import sys
import uuid
import zipfile
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

NAMESPACE = uuid.UUID("5f0d1f6e-6a0c-4d53-9a5c-6d1c6a1c0b18")
# The licence of a vendored library, which auditwheel does not know.
LICENCES = {"libgomp": "GPL-3.0-or-later WITH GCC-exception-3.1"}


def read(wheel):
    """Return the metadata of a wheel, and the bills of materials in it."""
    with zipfile.ZipFile(wheel) as files:
        (metadata,) = (n for n in files.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
        bills = [n for n in files.namelist() if re.search(r"\.dist-info/sboms/.+\.json$", n)]
        return email.message_from_bytes(files.read(metadata)), [
            json.loads(files.read(name)) for name in bills
        ]


def library(name, **options):
    return Component(name=name, type=ComponentType.LIBRARY, **options)


def bill(wheel):
    """Return the bill of a wheel as JSON."""
    metadata, bills = read(wheel)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    purl = PackageURL(
        "pypi", None, metadata["Name"], metadata["Version"], {"file_name": wheel.name}
    )
    root = library(
        metadata["Name"],
        version=metadata["Version"],
        description=metadata["Summary"],
        bom_ref=purl.to_string(),
        purl=purl,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        licenses=[LicenseExpression(metadata["License-Expression"])],
    )
    parts = []
    for requirement in metadata.get_all("Requires-Dist", []):
        if "extra ==" not in requirement:
            name, versions = re.fullmatch(r"([\w.-]+)\s*(.*)", requirement).groups()
            parts.append(
                library(
                    name,
                    description=f"installed beside it: {versions or 'any version'}",
                    purl=PackageURL("pypi", None, name),
                    bom_ref=f"pkg:pypi/{name}",
                )
            )
    parts.append(
        library(
            "pybind11",
            description="its headers are compiled into the extensions",
            purl=PackageURL("pypi", None, "pybind11"),
            bom_ref="pkg:pypi/pybind11",
            licenses=[LicenseExpression("BSD-3-Clause")],
        )
    )
    for other in bills:
        for entry in other["components"]:
            if entry["name"] != metadata["Name"]:
                licence = next(
                    (t for n, t in LICENCES.items() if entry["name"].startswith(n)), None
                )
                parts.append(
                    library(
                        entry["name"],
                        version=entry["version"],
                        description="a library of the system it was built on, in the wheel",
                        purl=PackageURL.from_string(entry["purl"]),
                        bom_ref=entry["bom-ref"],
                        licenses=[LicenseExpression(licence)] if licence else [],
                    )
                )
    made = Bom(components=parts, serial_number=uuid.uuid5(NAMESPACE, digest))
    made.metadata.component = root
    made.metadata.timestamp = None
    made.register_dependency(root, parts)
    text = JsonV1Dot6(made).output_as_string(indent=2)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"the bill of {wheel} is not CycloneDX 1.6: {error}")
    return text


def main():
    if not sys.argv[1:]:
        sys.exit(__doc__)
    for wheel in map(Path, sys.argv[1:]):
        (wheel.parent / f"{wheel.name}.cdx.json").write_text(bill(wheel) + "\n")


if __name__ == "__main__":
    main()
