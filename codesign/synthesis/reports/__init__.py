"""Reports of synthesis tools: text -> ``SynthesisReport``.

``parse`` reads a text of any form in ``FORMS``, told by its content; ``read`` a file; ``read_folder`` all
files of a folder, each tied to its design. What a report does not state is None. A report that is damaged,
cut or of another form is refused with ``ReportError``: file, line, and what was expected there. The modules
say which figure of a tool becomes which field, and in which unit.
"""

from codesign.synthesis.reports.folder import MAPPING, FolderReports, read_folder
from codesign.synthesis.reports.forms import FORMS, Form, UnknownFormError, parse, read
from codesign.synthesis.reports.reading import UNSTATED

__all__ = [
    "FORMS",
    "MAPPING",
    "UNSTATED",
    "FolderReports",
    "Form",
    "UnknownFormError",
    "parse",
    "read",
    "read_folder",
]
