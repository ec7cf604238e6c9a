"""Two kinds of import rule for the import linter: what a package may import, and who may import a library.

Both look at direct imports and name no module that must exist, so that a new file is covered from its first line.
"""

import sys
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Any

from importlinter import Contract, ContractCheck, fields, output


def _within(module: str, patterns: set[str]) -> bool:
    """True when the module, or a package around it, matches one of the patterns (`*` stands for one name)."""
    ancestors = accumulate(module.split("."), lambda package, name: f"{package}.{name}")
    return any(
        fnmatchcase(ancestor, pattern) and ancestor.count(".") == pattern.count(".")
        for ancestor in ancestors
        for pattern in patterns
    )


class _DirectImports(Contract):
    """Reports every direct import that the rule of a subclass does not allow."""

    def breaks(self, importer: str, imported: str) -> bool:
        raise NotImplementedError

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        """Look at every module of ours; external packages are known by their first name only."""
        offences = [
            f"{detail['importer']}:{detail['line_number']} imports {imported}"
            for importer in sorted(graph.modules)
            if not graph.is_module_squashed(importer)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if self.breaks(importer, imported)
            for detail in graph.get_import_details(importer=importer, imported=imported)[:1]
        ]
        return ContractCheck(kept=not offences, metadata={"offences": offences})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """One line for each import that is not allowed."""
        for offence in check.metadata["offences"]:
            output.print_error(offence)
        output.new_line()


class ImportsOnly(_DirectImports):
    """`sources` import themselves, the standard library and `allowed`, and nothing else."""

    type_name = "imports_only"
    sources: Any = fields.SetField(subfield=fields.StringField())
    allowed: Any = fields.SetField(subfield=fields.StringField())

    def breaks(self, importer: str, imported: str) -> bool:
        """True for an import from `sources` to anything that is not named."""
        if not _within(importer, self.sources):
            return False
        standard = imported.split(".", 1)[0] in sys.stdlib_module_names
        return not (standard or _within(imported, self.allowed) or self._same_source(importer, imported))

    def _same_source(self, importer: str, imported: str) -> bool:
        """True within one package: `services.*.domain` does not allow one service's rules to import another's."""
        return any(
            _within(imported, {".".join(importer.split(".")[: pattern.count(".") + 1])})
            for pattern in self.sources
            if _within(importer, {pattern})
        )


class ImportedOnlyBy(_DirectImports):
    """`modules` are imported by `importers` and by nobody else."""

    type_name = "imported_only_by"
    modules: Any = fields.SetField(subfield=fields.StringField())
    importers: Any = fields.SetField(subfield=fields.StringField())

    def breaks(self, importer: str, imported: str) -> bool:
        """True for an import of `modules` from anywhere but `importers`."""
        return _within(imported, self.modules) and not _within(importer, self.importers)
