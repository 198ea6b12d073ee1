"""What the three action plugins share."""

from __future__ import annotations

import os

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.otr.otr.plugins.plugin_utils.program import Target


class OtrAction(ActionBase):
    """Sends a task's parameters to otr on the target, and gives back its answer."""

    # The module's name, as the program knows it.
    MODULE = "otr"

    def run(self, tmp=None, task_vars=None):
        # Of the object: ansible-core up to 2.15 sets it to False in each.
        self._supports_async = True
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        self._take_spec_file(arguments)
        target = Target(self, task_vars or {})
        arguments["_otr_inventory_name"] = (task_vars or {}).get("inventory_hostname")
        if self._task.async_val:
            # The module of the same name runs the program on the target, under async_wrapper.
            arguments["_otr_program"] = target.path()
            result.update(
                self._execute_module(
                    module_name=f"otr.otr.{self.MODULE}", module_args=arguments, task_vars=task_vars, wrap_async=True
                )
            )
            return result
        arguments["_ansible_module_name"] = self.MODULE
        arguments["_ansible_check_mode"] = bool(self._task.check_mode)
        arguments["_ansible_diff"] = bool(self._task.diff)
        result.update(target.run(arguments))
        return result

    def _take_spec_file(self, arguments):
        """`spec_file` is a spec on the controller: the target gets its content."""
        name = arguments.pop("spec_file", None)
        if name is None:
            return
        if "spec" in arguments:
            raise AnsibleActionFail("`spec` and `spec_file` exclude each other: say where the spec is, once")
        path = self._find_needle("files", str(name)) if not os.path.isabs(str(name)) else str(name)
        # Read as it is: a template in a spec is otr's, not Ansible's.
        from yaml import safe_load

        try:
            with open(path, encoding="utf-8") as spec:
                arguments["spec"] = safe_load(spec)
        except (OSError, ValueError) as error:
            raise AnsibleActionFail(f"the spec {path} cannot be read: {error}") from error
        if not isinstance(arguments["spec"], dict):
            raise AnsibleActionFail(f"{path} is no spec: it must be a mapping")
