"""otr_promote, run by the program itself."""

from __future__ import annotations

from ansible_collections.otr.otr.plugins.plugin_utils.action import OtrAction


class ActionModule(OtrAction):
    MODULE = "otr_promote"
