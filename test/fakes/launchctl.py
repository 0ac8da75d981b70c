#!/usr/bin/env python3
"""launchctl(1) and as much of launchd(8) as one agent needs, for machines that have neither.

Words, exit codes and the form of `print` are macOS 14's. What is loaded is kept in $FAKE_LAUNCHD, a folder:
LABEL/plist while it is loaded, LABEL/pid while it runs, LABEL/exit once it ended, LABEL/runs. With a file `no-gui`
there nobody is logged in at the screen; LABEL.disabled is what `launchctl disable` leaves; with the
words `login items` in it the agent is switched off in System Settings, and `enable` does not help.
"""
import os
import plistlib
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.environ["FAKE_LAUNCHD"]
DOMAIN = f"gui/{os.getuid()}"


def end(code, text):
    sys.stderr.write(text + "\n")
    sys.exit(code)


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return None


def note(path, text):
    with open(path + ".new", "w") as file:
        file.write(str(text))
    os.replace(path + ".new", path)


class Job:
    def __init__(self, label):
        self.label = label
        self.folder = os.path.join(ROOT, label)

    def path(self, name):
        return os.path.join(self.folder, name)

    @property
    def loaded(self):
        return os.path.exists(self.path("plist"))

    @property
    def pid(self):
        return int(read(self.path("pid")) or 0)

    def start(self):
        """In the background a process waits for the job, as launchd does, and writes down how it ended."""
        note(self.path("runs"), int(read(self.path("runs")) or 0) + 1)
        if os.fork() == 0:
            os.setsid()
            for fd in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), fd)
            self.supervise()
            os._exit(0)
        while not self.pid and read(self.path("exit")) is None:
            time.sleep(0.005)

    def supervise(self):
        with open(self.path("plist"), "rb") as file:
            agent = plistlib.load(file)
        environment = {"HOME": os.environ["HOME"], "XPC_SERVICE_NAME": self.label, "XPC_FLAGS": "0x0"}
        environment.update({"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"})
        environment.update(agent.get("EnvironmentVariables", {}))
        try:
            os.remove(self.path("exit"))
        except FileNotFoundError:
            pass
        try:
            with open(agent["StandardErrorPath"], "ab") as log:
                child = subprocess.Popen(
                    agent["ProgramArguments"], env=environment, cwd=agent.get("WorkingDirectory", "/"),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, umask=agent.get("Umask", 0o22))
            note(self.path("pid"), child.pid)
            code = child.wait()
        except OSError:
            code = 78  # EX_CONFIG: launchd's own for a program that it cannot run
        if os.path.isdir(self.folder):
            note(self.path("exit"), code)
            if os.path.exists(self.path("pid")):
                os.remove(self.path("pid"))

    def terminate(self, limit):
        pid = self.pid
        if pid:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass  # It has ended, and its supervisor is about to say so.
        until = time.monotonic() + limit
        while self.pid and time.monotonic() < until:
            time.sleep(0.01)
        return not self.pid


def job_of(target):
    domain, _, label = target.rpartition("/")
    if domain != DOMAIN:
        end(125, "Domain does not support specified action")
    return Job(label)


def require(job, verb):
    if gui_missing() or not job.loaded:
        prefix = "" if verb == "print" else f"{verb} failed: 113: "
        end(113, f'Bad request.\n{prefix}Could not find service "{job.label}" in domain for user gui: {os.getuid()}')


def gui_missing():
    return os.path.exists(os.path.join(ROOT, "no-gui"))


def show(job):
    code = read(job.path("exit"))
    last = "(never exited)" if code is None else f"{code}: EX_CONFIG" if code == "78" else code
    pid = f"\tpid = {job.pid}\n" if job.pid else ""
    print(f"""{DOMAIN}/{job.label} = {{
\tactive count = {1 if job.pid else 0}
\tpath = {read(job.path("source"))}
\ttype = LaunchAgent
\tstate = {"running" if job.pid else "not running"}

\tdomain = {DOMAIN} [100008]
\tminimum runtime = 5
\texit timeout = 8
\truns = {read(job.path("runs")) or 0}
{pid}\tlast exit code = {last}

\tproperties = runatload | inferred program
}}""")


def main(verb, *args):
    if verb == "print" and args[0] == DOMAIN:
        if gui_missing():
            end(112, f"Bad request.\nCould not find domain for user gui: {os.getuid()}")
        print(f"{DOMAIN} = {{\n\ttype = user login\n}}")
    elif verb == "print":
        job = job_of(args[0])
        require(job, "print")
        show(job)
    elif verb == "bootstrap":
        if args[0] != DOMAIN or gui_missing():
            end(125, "Bootstrap failed: 125: Domain does not support specified action")
        with open(args[1], "rb") as file:
            agent = plistlib.load(file)
        job = Job(agent["Label"])
        disabled = os.path.exists(f"{job.folder}.disabled")
        writable = os.stat(args[1]).st_mode & 0o022
        if writable:
            end(122, "Bootstrap failed: 122: Path had bad ownership/permissions")
        if disabled:
            end(119, "Bootstrap failed: 119: Service is disabled")
        if job.loaded:
            end(5, "Bootstrap failed: 5: Input/output error\nTry re-running the command as root for richer errors.")
        os.makedirs(job.folder)
        shutil.copy(args[1], job.path("plist"))
        note(job.path("source"), args[1])
        if agent.get("RunAtLoad"):
            job.start()
    elif verb == "bootout":
        job = job_of(args[0])
        if gui_missing() or not job.loaded:
            end(3, "Boot-out failed: 3: No such process")
        if job.terminate(0.02):
            shutil.rmtree(job.folder)
            return
        # It is still there until its process has ended.
        if os.fork() == 0:
            for fd in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), fd)
            job.terminate(8)
            time.sleep(0.1)
            shutil.rmtree(job.folder)
            os._exit(0)
        end(36, "Boot-out failed: 36: Operation now in progress")
    elif verb == "kickstart":
        job = job_of(args[-1])
        require(job, "Kickstart")
        if job.pid and "-k" not in args:
            end(37, "Kickstart failed: 37: Operation already in progress")
        job.terminate(8)
        job.start()
    elif verb in ("enable", "disable"):
        job = job_of(args[0])
        mark = f"{job.folder}.disabled"
        if verb == "disable":
            note(mark, "")
        elif os.path.exists(mark) and read(mark) != "login items":
            os.remove(mark)
    elif verb == "print-disabled":
        marks = [name for name in os.listdir(ROOT) if name.endswith(".disabled")]
        rows = "".join(f'\t\t"{mark.removesuffix(".disabled")}" => disabled\n' for mark in marks)
        print(f"\n\tdisabled services = {{\n{rows}\t}}\n\tlogin item associations = {{\n\t}}")
    else:
        end(64, f"Unrecognized subcommand: {verb}")


main(*sys.argv[1:])
