"""The way to the program for a task with async: the action plugin has put it on the target."""

from __future__ import annotations

import json
import os
import shutil


def run(module, name):
    """Runs otr with the module's parameters and answers with what it says."""
    program = module.params.pop("_otr_program", None) or shutil.which("otr")
    if not program or not os.access(program, os.X_OK):
        module.fail_json(msg="otr is not on this machine: this module is run by its action plugin, which puts it there")
    arguments = {key: value for key, value in module.params.items() if value is not None}
    arguments.update(
        _ansible_module_name=name, _ansible_check_mode=module.check_mode, _ansible_diff=module._diff
    )
    _status, said, trouble = module.run_command([program, "ansible"], data=json.dumps(arguments))
    try:
        answer = json.loads(said)
    except ValueError:
        module.fail_json(msg="otr gave no answer: " + (trouble or said)[-2000:])
    if answer.pop("failed", False):
        module.fail_json(**answer)
    module.exit_json(**answer)
