#!/usr/bin/env python3
"""The monkey's table of names, beside what libc exports and what libraries import."""
import collections
import os
import pathlib
import re
import subprocess
import unittest

SOURCE = pathlib.Path(os.environ["FERN_SOURCE"])
BUILD = pathlib.Path(os.environ["FERN_BUILD"])

# The libraries that people use with blocking calls, and what those rest on: the ones that are installed are looked at.
LIBRARIES = """libcurl libcurl-gnutls libpq libhiredis libmariadb libssl libcrypto libstdc++ libapr-1 libaprutil-1
    libkrb5 libgssapi_krb5 libgnutls libldap-2.5 liblber-2.5 libssh2 libssh-gcrypt librtmp libnghttp2 libresolv libxml2
    libz libevent libzmq libmemcached librdkafka libmongoc libcassandra libgrpc libpython3.11""".split()

# What may wait for something that is not memory or the processor.
BLOCKING = set("""
    nanosleep clock_nanosleep sleep usleep pause thrd_sleep
    connect accept accept4 recv recvfrom recvmsg recvmmsg send sendto sendmsg sendmmsg sendfile shutdown
    read write readv writev preadv preadv2 pwritev pwritev2 pread pwrite splice tee vmsplice copy_file_range close
    close_range closefrom dup2 dup3 fcntl ioctl tcdrain eventfd_read eventfd_write
    poll ppoll select pselect epoll_wait epoll_pwait epoll_pwait2
    getaddrinfo getaddrinfo_a gai_suspend getnameinfo gethostbyname gethostbyname2 gethostbyaddr gethostbyname_r
    gethostbyname2_r gethostbyaddr_r res_query res_search res_nquery res_nsearch res_send res_nsend res_querydomain
    res_nquerydomain getpwnam getpwuid getpwnam_r getpwuid_r getgrnam getgrgid getgrnam_r getgrgid_r getgrouplist
    initgroups getservbyname getservbyport getservbyname_r getservbyport_r getprotobyname getprotobyname_r
    getprotobynumber gethostent getnetbyname
    waitpid wait wait3 wait4 waitid system popen pclose fork vfork posix_spawn posix_spawnp daemon
    open openat creat fsync fdatasync sync syncfs msync flock lockf sync_file_range truncate ftruncate fallocate
    posix_fallocate stat lstat fstat fstatat statx access unlink rename mkdir rmdir opendir readdir readdir_r scandir
    aio_suspend lio_listio
    fopen freopen fread fgets fgetc getc getchar gets getline getdelim getw ungetc fscanf scanf vfscanf vscanf
    fread_unlocked fgets_unlocked getc_unlocked fgetc_unlocked getchar_unlocked fgetwc getwc fgetws
    fwrite fputs fputc putc putchar puts printf fprintf vprintf vfprintf dprintf vdprintf fflush fclose perror
    getpass fseek fseeko rewind getw putw psignal psiginfo warn warnx vwarn vwarnx err errx verr verrx error error_at_line
    syslog vsyslog getwc getwchar fputwc putwc putwchar fputws fwprintf wprintf vfwprintf vwprintf fwscanf wscanf vfwscanf
    vwscanf tcsetattr wordexp getrandom getentropy readahead posix_fadvise process_vm_readv process_vm_writev
    getspnam getspnam_r getnetbyaddr getrpcbyname innetgr lckpwdf pututxline getutxent rcmd rexec mq_open sem_open
    sigwait sigwaitinfo sigtimedwait sigsuspend sigpause
    semop semtimedop msgrcv msgsnd mq_receive mq_send mq_timedreceive mq_timedsend
    syscall pthread_join pthread_timedjoin_np pthread_clockjoin_np pthread_mutex_lock pthread_mutex_timedlock
    pthread_mutex_clocklock pthread_cond_wait pthread_cond_timedwait pthread_cond_clockwait pthread_rwlock_rdlock
    pthread_rwlock_wrlock pthread_rwlock_timedrdlock pthread_rwlock_timedwrlock pthread_rwlock_clockrdlock
    pthread_rwlock_clockwrlock pthread_barrier_wait pthread_spin_lock pthread_once sem_wait sem_timedwait sem_clockwait
    thrd_join mtx_lock mtx_timedlock cnd_wait cnd_timedwait call_once sched_yield thrd_yield flockfile
""".split())

# Blocking names that stay native, and why.
THREADS = "threads and their locks: not patched with the rest, a whole program's threads are"
STARTS = "waits for its own child's exec at most"
FOLDERS = "folders and inodes: the cache of the file system answers"
OUTPUT = "a few words of libc's own, before the program ends for most"
LOGS = "a daemon reads it, and libc holds a lock of its own: nobody else could log meanwhile"
DATABASES = "files, or a daemon that is near; libraries (libpq) hold a lock around it, which a greenlet must not park with"
MEMORY = "memory, or a file's pages: nothing that could be waited for"
ADMINISTRATION = "for tools of administrators: libc waits with an alarm, or talks to the network by itself"
EXPLAINED = {
    **dict.fromkeys("""syscall pthread_join pthread_timedjoin_np pthread_clockjoin_np pthread_mutex_lock
        pthread_mutex_timedlock pthread_mutex_clocklock pthread_cond_wait pthread_cond_timedwait pthread_cond_clockwait
        pthread_rwlock_rdlock pthread_rwlock_wrlock pthread_rwlock_timedrdlock pthread_rwlock_timedwrlock
        pthread_rwlock_clockrdlock pthread_rwlock_clockwrlock pthread_barrier_wait pthread_spin_lock pthread_once
        sem_wait sem_timedwait sem_clockwait thrd_join mtx_lock mtx_timedlock cnd_wait cnd_timedwait call_once
        sched_yield thrd_yield flockfile thrd_sleep""".split(), THREADS),
    **dict.fromkeys("fork daemon".split(), STARTS),
    **dict.fromkeys("""stat lstat fstat fstatat statx access unlink rename mkdir rmdir opendir readdir readdir_r scandir
        mq_open sem_open""".split(), FOLDERS),
    **dict.fromkeys("warn warnx vwarn vwarnx err errx verr verrx error error_at_line".split(), OUTPUT),
    **dict.fromkeys("syslog vsyslog".split(), LOGS),
    **dict.fromkeys("readahead posix_fadvise process_vm_readv process_vm_writev".split(), MEMORY),
    **dict.fromkeys("lckpwdf pututxline getutxent rcmd rexec innetgr".split(), ADMINISTRATION),
    **dict.fromkeys("getrandom getentropy".split(), "wait once, while the machine starts"),
    **dict.fromkeys("""getpwnam getpwuid getpwnam_r getpwuid_r getgrnam getgrgid getgrnam_r getgrgid_r getgrouplist
        initgroups getservbyname getservbyport getservbyname_r getservbyport_r getprotobyname getprotobyname_r
        getprotobynumber gethostent getnetbyname getnetbyaddr getrpcbyname getspnam getspnam_r""".split(), DATABASES),
    "freopen": "opens a file: a FIFO that nobody has opened yet is rare",
    "gets": "is not declared any more",
    "getpass": "talks to a terminal, to one user",
}

# Of liburing and libaio, which may be told that the kernel has no such queues.
REFUSED = "io_queue_init io_setup io_uring_queue_init io_uring_queue_init_params".split()


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def bare(name):
    return name.split("@")[0]


def table():
    """name: the name that it stands for (itself, for most), as src/monkey/table.hpp has it."""
    text = re.sub(r"//.*", "", (SOURCE / "src/monkey/table.hpp").read_text())
    names = {}
    # Definitions for the rows that nobody asks for are no rows.
    text = re.sub(r"(?m)^\s*#.*$", "", text)
    for name in re.findall(r"\bFERN_(?:CALL|ALWAYS)\(\s*\w+,[^,]+,\s*(\w+),", text):
        names[name] = name
    for name in re.findall(r"\bFERN_REPLACED\([^,]+,\s*(\w+),", text):
        names[name] = name
    for name, other in re.findall(r"\bFERN_VARIADIC\([^,]+,\s*(\w+),\s*(\w+),", text):
        names[name] = other
    for name in re.findall(r"\bFERN_SPECIAL\(\s*\w+,\s*(\w+)\s*\)", text):
        names[name] = name
    for name, other in re.findall(r"\bFERN_ALIAS\(\s*(\w+),\s*(\w+)\s*\)", text):
        names[other] = name
    for checked, name in re.findall(r"\bFERN_CHECKED\([^,]+,\s*(\w+),\s*(\w+),", text):
        names[checked] = name
    return names


def loader_paths():
    """soname: file, of what the loader finds."""
    found = {}
    for line in run("/sbin/ldconfig", "-p").splitlines():
        match = re.match(r"\s*(\S+) \([^)]*x86-64[^)]*\) => (\S+)|\s*(\S+) \(.*AArch64.*\) => (\S+)", line)
        if match:
            soname, path = (group for group in match.groups() if group)
            found.setdefault(soname, path)
    return found


def exports(library):
    """address: [names that programs may refer to]."""
    found = collections.defaultdict(list)
    for line in run("nm", "-D", "--defined-only", library).splitlines():
        address, kind, name = line.split(None, 2)
        if kind in "TWi" and not name.endswith("@GLIBC_PRIVATE") and "@GLIBC_ABI" not in name:
            found[address].append(bare(name))
    return found


def imports(library):
    return {bare(line.split()[-1]) for line in run("nm", "-D", "--undefined-only", library).splitlines()}


class Symbols(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.table = table()
        cls.paths = loader_paths()
        cls.libc = exports(cls.paths["libc.so.6"])
        cls.names_of_libc = {name for names in cls.libc.values() for name in names}

    def test_the_table_is_read_whole(self):
        rows = re.findall(r"^FERN_\w+\(", (SOURCE / "src/monkey/table.hpp").read_text(), re.M)
        self.assertEqual(len(self.table), len(rows))

    def test_what_is_in_the_table_is_what_the_library_exports(self):
        (library,) = BUILD.glob("src/libfern_monkey.so.*.*.*[0-9]")
        strong = run("nm", "-D", "--defined-only", library).splitlines()
        names = {line.split()[-1] for line in strong if line.split()[1] in "TDBRW"}
        self.assertEqual(sorted(name for name in names if not name.startswith("_Z")), sorted([*self.table, *REFUSED]))

    def test_libc_exports_every_wrapped_name(self):
        self.assertEqual(sorted(name for name in self.table if name not in self.names_of_libc), [])

    def test_every_other_name_of_a_wrapped_call_is_wrapped(self):
        # Names at one address, and the fortified and large-file twins.
        missing = set()
        for names in self.libc.values():
            if any(name in self.table for name in names):
                missing |= {name for name in names if name not in self.table}
        for name in self.table:
            twins = [f"__{name}_chk", f"{name}64", f"__{name}", f"__{name}64", f"{name}_unlocked", f"__isoc99_{name}"]
            missing |= {twin for twin in twins if twin in self.names_of_libc and twin not in self.table}
        self.assertEqual(sorted(missing), [])

    def test_what_libraries_import_is_wrapped_or_explained(self):
        missing = collections.defaultdict(set)
        looked_at = []
        for soname, path in sorted(self.paths.items()):
            if soname.split(".so")[0] not in LIBRARIES:
                continue
            looked_at.append(soname)
            for name in imports(path):
                plain = re.sub(r"^__(?:isoc99_)?|_2$|_chk$", "", name)
                plain = plain.removesuffix("64")
                if name in self.names_of_libc and plain in BLOCKING and name not in self.table:
                    if plain not in EXPLAINED:
                        missing[soname].add(name)
        self.assertIn("libstdc++.so.6", looked_at)
        self.assertEqual(dict(missing), {})

    def test_what_is_explained_is_blocking_and_not_wrapped(self):
        # Threads and their locks are: in whole programs that fern runs.
        stale = {name for name, why in EXPLAINED.items() if name in self.table and why != THREADS}
        self.assertEqual(sorted(stale | (EXPLAINED.keys() - BLOCKING)), [])


if __name__ == "__main__":
    unittest.main()
