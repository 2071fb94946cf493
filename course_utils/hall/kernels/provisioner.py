"""Kernel provisioner of the demo server: each kernel is forked from a template process and ends with it."""

import asyncio
import contextlib
import os
import signal
from importlib.metadata import EntryPoint
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerBase, KernelProvisionerFactory

from course_utils.hall.kernels.kernel_pool import LifetimeConnection, ask, until_gone

NAME = "course-hall"


def install_provisioner() -> None:
    """Let every kernel of this process be split off from a template process."""
    factory = KernelProvisionerFactory.instance()
    group = KernelProvisionerFactory.GROUP_NAME
    factory.provisioners[NAME] = EntryPoint(NAME, f"{__name__}:{ForkServerProvisioner.__name__}", group)
    factory.default_provisioner_name = NAME


class ForkServerProvisioner(KernelProvisionerBase):
    """One kernel, from the request to its template process until its process is gone.

    `start_kernel` gets three arguments beside its own: `door` (the socket of the template process), `folder` (where
    the kernel works) and `on_end` (called with the kernel's id when its process has ended).
    """

    pid: int | None = None
    _life_line: LifetimeConnection | None = None
    _watch: asyncio.Task | None = None

    @property
    def has_process(self) -> bool:
        """Whether there is a process."""
        return self.pid is not None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Write the connection file: sockets of this machine's own kind, that no network reaches."""
        manager: Any = self.parent  # a KernelManager
        manager.transport = "ipc"
        manager.ip = os.path.join(kwargs["folder"], "k")
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        return {**kwargs, "cmd": []}

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Ask the template process for one."""
        manager: Any = self.parent
        request = {
            "connection_file": manager.connection_file,
            "folder": kwargs["folder"],
            "environment": kwargs["env"],
        }
        answer, life_line = await ask(kwargs["door"], request)
        self._life_line = life_line
        self.pid = answer["pid"]
        self._watch = asyncio.create_task(self._wait_for_end(life_line, kwargs["on_end"]))
        return self.connection_info

    async def poll(self) -> int | None:
        """Return None while it lives."""
        return None if self.pid is not None else 0

    async def wait(self) -> int | None:
        """Wait until it is gone."""
        if self._watch is not None:
            await asyncio.shield(self._watch)
        return 0

    async def send_signal(self, signum: int) -> None:
        """Send a signal, if anybody is there to get it."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    async def kill(self, restart: bool = False) -> None:
        """End it at once."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """End it at once: there is nothing that it must put in order."""
        await self.kill()

    async def cleanup(self, restart: bool = False) -> None:
        """Cut the life line."""
        if self._life_line is not None:
            self._life_line.close()

    async def _wait_for_end(self, life_line: LifetimeConnection, on_end: Any) -> None:
        await until_gone(life_line)
        self.pid = None
        life_line.close()
        on_end(self.kernel_id)
