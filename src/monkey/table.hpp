// The one table of what the monkey wraps. Included, with those of these macros defined that it
// makes something of, by whoever makes something of each row; at the end they are undefined. No
// include guard.
//
//   FERN_CALL(part, result, name, (parameters), (arguments))
//       a call: when its part is green it is fern::monkey::green::name(arguments)
//   FERN_ALWAYS(part, result, name, (parameters), (arguments))
//       the same for a call that is ours in every thread, whatever is patched
//   FERN_ALIAS(name, other)
//       another name that libc exports for the same call
//   FERN_CHECKED(result, checked, name, overflow, (parameters), (all arguments), (arguments of
//   name))
//       the fortified twin: where `overflow` holds, libc's own, which ends the program; else `name`
//   FERN_REPLACED(result, name, (parameters), (arguments))
//       a call that is fern::monkey::replaced::name(arguments) in every thread, native ones too,
//       once threads are green
//   FERN_VARIADIC(result, name, other, (parameters, format, ...), (arguments, list))
//       `other` takes the arguments behind the format as a va_list
//   FERN_SPECIAL(part, name)
//       a call whose wrapper is written by hand, see specials.hpp: it takes "...", or is more than
//       its green twin

#ifndef FERN_CALL
#define FERN_CALL(...)
#endif
#ifndef FERN_ALIAS
#define FERN_ALIAS(...)
#endif
#ifndef FERN_CHECKED
#define FERN_CHECKED(...)
#endif
#ifndef FERN_REPLACED
#define FERN_REPLACED(...)
#endif
#ifndef FERN_ALWAYS
#define FERN_ALWAYS FERN_CALL
#endif
#ifndef FERN_VARIADIC
#define FERN_VARIADIC(...)
#endif
#ifndef FERN_SPECIAL
#define FERN_SPECIAL(...)
#endif

// --- Time
FERN_CALL(Time, int, nanosleep, (const timespec* duration, timespec* left), (duration, left))
FERN_ALIAS(nanosleep, __nanosleep)
FERN_CALL(Time, int, clock_nanosleep,
          (clockid_t clock, int flags, const timespec* time, timespec* left),
          (clock, flags, time, left))
FERN_CALL(Time, unsigned, sleep, (unsigned seconds), (seconds))
FERN_CALL(Time, int, usleep, (useconds_t microseconds), (microseconds))
FERN_CALL(Time, int, thrd_sleep, (const timespec* duration, timespec* left), (duration, left))

// --- Sockets
FERN_CALL(Sockets, int, connect, (int fd, const sockaddr* address, socklen_t size),
          (fd, address, size))
FERN_ALIAS(connect, __connect)
FERN_CALL(Sockets, int, accept, (int fd, sockaddr* address, socklen_t* size), (fd, address, size))
FERN_CALL(Sockets, int, accept4, (int fd, sockaddr* address, socklen_t* size, int flags),
          (fd, address, size, flags))
FERN_CALL(Sockets, ssize_t, recv, (int fd, void* buffer, size_t size, int flags),
          (fd, buffer, size, flags))
FERN_CHECKED(ssize_t, __recv_chk, recv, size > room,
             (int fd, void* buffer, size_t size, size_t room, int flags),
             (fd, buffer, size, room, flags), (fd, buffer, size, flags))
FERN_CALL(Sockets, ssize_t, recvfrom,
          (int fd, void* buffer, size_t size, int flags, sockaddr* from, socklen_t* from_size),
          (fd, buffer, size, flags, from, from_size))
FERN_CHECKED(ssize_t, __recvfrom_chk, recvfrom, size > room,
             (int fd, void* buffer, size_t size, size_t room, int flags, sockaddr* from,
              socklen_t* from_size),
             (fd, buffer, size, room, flags, from, from_size),
             (fd, buffer, size, flags, from, from_size))
FERN_CALL(Sockets, ssize_t, recvmsg, (int fd, msghdr* message, int flags), (fd, message, flags))
FERN_CALL(Sockets, ssize_t, send, (int fd, const void* data, size_t size, int flags),
          (fd, data, size, flags))
FERN_ALIAS(send, __send)
FERN_CALL(Sockets, ssize_t, sendto,
          (int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t to_size),
          (fd, data, size, flags, to, to_size))
FERN_CALL(Sockets, ssize_t, sendmsg, (int fd, const msghdr* message, int flags),
          (fd, message, flags))
FERN_CALL(Sockets, int, recvmmsg,
          (int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout),
          (fd, messages, count, flags, timeout))
FERN_CALL(Sockets, int, sendmmsg, (int fd, mmsghdr* messages, unsigned count, int flags),
          (fd, messages, count, flags))
FERN_CALL(Sockets, ssize_t, sendfile, (int out, int in, off_t* offset, size_t size),
          (out, in, offset, size))
FERN_ALIAS(sendfile, sendfile64)
FERN_CALL(Sockets, int, shutdown, (int fd, int how), (fd, how))

// --- Select
FERN_CALL(Select, int, poll, (pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
FERN_ALIAS(poll, __poll)
FERN_CHECKED(int, __poll_chk, poll, room / sizeof(pollfd) < count,
             (pollfd * fds, nfds_t count, int timeout, size_t room), (fds, count, timeout, room),
             (fds, count, timeout))
FERN_CALL(Select, int, ppoll,
          (pollfd * fds, nfds_t count, const timespec* timeout, const sigset_t* mask),
          (fds, count, timeout, mask))
FERN_CHECKED(int, __ppoll_chk, ppoll, room / sizeof(pollfd) < count,
             (pollfd * fds, nfds_t count, const timespec* timeout, const sigset_t* mask,
              size_t room),
             (fds, count, timeout, mask, room), (fds, count, timeout, mask))
FERN_CALL(Select, int, select,
          (int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout),
          (count, read, write, except, timeout))
FERN_ALIAS(select, __select)
FERN_CALL(Select, int, pselect,
          (int count, fd_set* read, fd_set* write, fd_set* except, const timespec* timeout,
           const sigset_t* mask),
          (count, read, write, except, timeout, mask))
FERN_CALL(Select, int, epoll_wait, (int epoll, epoll_event* events, int capacity, int timeout),
          (epoll, events, capacity, timeout))
FERN_CALL(Select, int, epoll_pwait,
          (int epoll, epoll_event* events, int capacity, int timeout, const sigset_t* mask),
          (epoll, events, capacity, timeout, mask))
FERN_CALL(Select, int, epoll_pwait2,
          (int epoll, epoll_event* events, int capacity, const timespec* timeout,
           const sigset_t* mask),
          (epoll, events, capacity, timeout, mask))

// --- Dns
FERN_CALL(Dns, int, getaddrinfo,
          (const char* host, const char* service, const addrinfo* hints, addrinfo** found),
          (host, service, hints, found))
FERN_CALL(Dns, int, getnameinfo,
          (const sockaddr* address, socklen_t size, char* host, socklen_t host_size, char* service,
           socklen_t service_size, int flags),
          (address, size, host, host_size, service, service_size, flags))
FERN_CALL(Dns, int, getaddrinfo_a, (int mode, gaicb** list, int count, sigevent* event),
          (mode, list, count, event))
FERN_CALL(Dns, int, gai_suspend, (const gaicb* const* list, int count, const timespec* timeout),
          (list, count, timeout))
FERN_CALL(Dns, hostent*, gethostbyname, (const char* name), (name))
FERN_CALL(Dns, hostent*, gethostbyname2, (const char* name, int family), (name, family))
FERN_CALL(Dns, hostent*, gethostbyaddr, (const void* address, socklen_t size, int family),
          (address, size, family))
FERN_CALL(Dns, int, gethostbyname_r,
          (const char* name, hostent* host, char* buffer, size_t size, hostent** found, int* error),
          (name, host, buffer, size, found, error))
FERN_CALL(Dns, int, gethostbyname2_r,
          (const char* name, int family, hostent* host, char* buffer, size_t size, hostent** found,
           int* error),
          (name, family, host, buffer, size, found, error))
FERN_CALL(Dns, int, gethostbyaddr_r,
          (const void* address, socklen_t address_size, int family, hostent* host, char* buffer,
           size_t size, hostent** found, int* error),
          (address, address_size, family, host, buffer, size, found, error))
FERN_CALL(Dns, int, res_query,
          (const char* name, int query_class, int type, unsigned char* answer, int size),
          (name, query_class, type, answer, size))
FERN_ALIAS(res_query, __res_query)
FERN_CALL(Dns, int, res_search,
          (const char* name, int query_class, int type, unsigned char* answer, int size),
          (name, query_class, type, answer, size))
FERN_ALIAS(res_search, __res_search)
FERN_CALL(Dns, int, res_querydomain,
          (const char* name, const char* domain, int query_class, int type, unsigned char* answer,
           int size),
          (name, domain, query_class, type, answer, size))
FERN_ALIAS(res_querydomain, __res_querydomain)
FERN_CALL(Dns, int, res_send,
          (const unsigned char* question, int question_size, unsigned char* answer, int size),
          (question, question_size, answer, size))
FERN_ALIAS(res_send, __res_send)
FERN_CALL(Dns, int, res_nquery,
          (res_state state, const char* name, int query_class, int type, unsigned char* answer,
           int size),
          (state, name, query_class, type, answer, size))
FERN_ALIAS(res_nquery, __res_nquery)
FERN_CALL(Dns, int, res_nsearch,
          (res_state state, const char* name, int query_class, int type, unsigned char* answer,
           int size),
          (state, name, query_class, type, answer, size))
FERN_ALIAS(res_nsearch, __res_nsearch)
FERN_CALL(Dns, int, res_nquerydomain,
          (res_state state, const char* name, const char* domain, int query_class, int type,
           unsigned char* answer, int size),
          (state, name, domain, query_class, type, answer, size))
FERN_ALIAS(res_nquerydomain, __res_nquerydomain)
FERN_CALL(Dns, int, res_nsend,
          (res_state state, const unsigned char* question, int question_size, unsigned char* answer,
           int size),
          (state, question, question_size, answer, size))
FERN_ALIAS(res_nsend, __res_nsend)

// --- Os
FERN_CALL(Os, ssize_t, read, (int fd, void* buffer, size_t size), (fd, buffer, size))
FERN_ALIAS(read, __read)
FERN_CHECKED(ssize_t, __read_chk, read, size > room,
             (int fd, void* buffer, size_t size, size_t room), (fd, buffer, size, room),
             (fd, buffer, size))
FERN_CALL(Os, ssize_t, write, (int fd, const void* data, size_t size), (fd, data, size))
FERN_ALIAS(write, __write)
FERN_CALL(Os, ssize_t, readv, (int fd, const iovec* parts, int count), (fd, parts, count))
FERN_CALL(Os, ssize_t, writev, (int fd, const iovec* parts, int count), (fd, parts, count))
FERN_CALL(Os, ssize_t, preadv2, (int fd, const iovec* parts, int count, off_t offset, int flags),
          (fd, parts, count, offset, flags))
FERN_ALIAS(preadv2, preadv64v2)
FERN_CALL(Os, ssize_t, pwritev2, (int fd, const iovec* parts, int count, off_t offset, int flags),
          (fd, parts, count, offset, flags))
FERN_ALIAS(pwritev2, pwritev64v2)
FERN_CALL(Os, int, eventfd_read, (int fd, eventfd_t* value), (fd, value))
FERN_CALL(Os, int, eventfd_write, (int fd, eventfd_t value), (fd, value))
FERN_CALL(Os, ssize_t, splice,
          (int in, off64_t* in_offset, int out, off64_t* out_offset, size_t size, unsigned flags),
          (in, in_offset, out, out_offset, size, flags))
FERN_CALL(Os, ssize_t, tee, (int in, int out, size_t size, unsigned flags), (in, out, size, flags))
FERN_CALL(Os, ssize_t, vmsplice, (int fd, const iovec* parts, size_t count, unsigned flags),
          (fd, parts, count, flags))
FERN_CALL(Os, int, tcdrain, (int fd), (fd))
FERN_CALL(Os, int, tcsetattr, (int fd, int when, const termios* settings), (fd, when, settings))
FERN_CALL(Os, ssize_t, mq_receive, (mqd_t queue, char* to, size_t size, unsigned* priority),
          (queue, to, size, priority))
FERN_CALL(Os, ssize_t, mq_timedreceive,
          (mqd_t queue, char* to, size_t size, unsigned* priority, const timespec* time),
          (queue, to, size, priority, time))
FERN_CALL(Os, int, mq_send, (mqd_t queue, const char* data, size_t size, unsigned priority),
          (queue, data, size, priority))
FERN_CALL(Os, int, mq_timedsend,
          (mqd_t queue, const char* data, size_t size, unsigned priority, const timespec* time),
          (queue, data, size, priority, time))
FERN_CALL(Os, ssize_t, msgrcv, (int queue, void* to, size_t size, long type, int flags),
          (queue, to, size, type, flags))
FERN_CALL(Os, int, msgsnd, (int queue, const void* message, size_t size, int flags),
          (queue, message, size, flags))
FERN_CALL(Os, int, semop, (int set, sembuf* operations, size_t count), (set, operations, count))
FERN_CALL(Os, int, semtimedop, (int set, sembuf* operations, size_t count, const timespec* timeout),
          (set, operations, count, timeout))
FERN_SPECIAL(Os, close)
FERN_SPECIAL(Os, __close)
FERN_SPECIAL(Os, close_range)
FERN_SPECIAL(Os, closefrom)
FERN_SPECIAL(Os, dup2)
FERN_SPECIAL(Os, __dup2)
FERN_SPECIAL(Os, dup3)
FERN_SPECIAL(Os, fclose)
FERN_SPECIAL(Os, _IO_fclose)
FERN_SPECIAL(Os, fcntl)
FERN_SPECIAL(Os, fcntl64)
FERN_SPECIAL(Os, __fcntl)
FERN_SPECIAL(Os, ioctl)
FERN_CALL(Os, pid_t, waitpid, (pid_t pid, int* status, int options), (pid, status, options))
FERN_ALIAS(waitpid, __waitpid)
FERN_CALL(Os, pid_t, wait, (int* status), (status))
FERN_ALIAS(wait, __wait)
FERN_CALL(Os, pid_t, wait3, (int* status, int options, rusage* usage), (status, options, usage))
FERN_CALL(Os, pid_t, wait4, (pid_t pid, int* status, int options, rusage* usage),
          (pid, status, options, usage))
FERN_CALL(Os, int, waitid, (idtype_t which, id_t id, siginfo_t* info, int options),
          (which, id, info, options))
FERN_CALL(Os, int, wordexp, (const char* text, wordexp_t* words, int flags), (text, words, flags))
FERN_SPECIAL(Os, system)
FERN_CALL(Os, FILE*, popen, (const char* command, const char* mode), (command, mode))
FERN_ALIAS(popen, _IO_popen)
FERN_SPECIAL(Os, pclose)
FERN_SPECIAL(Os, vfork)
FERN_SPECIAL(Os, __vfork)

// --- Files
FERN_CALL(Files, int, open, (const char* path, int flags, mode_t mode), (path, flags, mode))
FERN_ALIAS(open, open64)
FERN_ALIAS(open, __open)
FERN_ALIAS(open, __open64)
FERN_CHECKED(int, __open_2, open, fern::monkey::needs_mode(flags), (const char* path, int flags),
             (path, flags), (path, flags, 0))
FERN_CHECKED(int, __open64_2, open, fern::monkey::needs_mode(flags), (const char* path, int flags),
             (path, flags), (path, flags, 0))
FERN_CALL(Files, int, openat, (int directory, const char* path, int flags, mode_t mode),
          (directory, path, flags, mode))
FERN_ALIAS(openat, openat64)
FERN_CHECKED(int, __openat_2, openat, fern::monkey::needs_mode(flags),
             (int directory, const char* path, int flags), (directory, path, flags),
             (directory, path, flags, 0))
FERN_CHECKED(int, __openat64_2, openat, fern::monkey::needs_mode(flags),
             (int directory, const char* path, int flags), (directory, path, flags),
             (directory, path, flags, 0))
FERN_CALL(Files, int, creat, (const char* path, mode_t mode), (path, mode))
FERN_ALIAS(creat, creat64)
FERN_CALL(Files, ssize_t, pread, (int fd, void* buffer, size_t size, off_t offset),
          (fd, buffer, size, offset))
FERN_ALIAS(pread, pread64)
FERN_ALIAS(pread, __pread64)
FERN_CHECKED(ssize_t, __pread_chk, pread, size > room,
             (int fd, void* buffer, size_t size, off_t offset, size_t room),
             (fd, buffer, size, offset, room), (fd, buffer, size, offset))
FERN_CHECKED(ssize_t, __pread64_chk, pread, size > room,
             (int fd, void* buffer, size_t size, off_t offset, size_t room),
             (fd, buffer, size, offset, room), (fd, buffer, size, offset))
FERN_CALL(Files, ssize_t, pwrite, (int fd, const void* data, size_t size, off_t offset),
          (fd, data, size, offset))
FERN_ALIAS(pwrite, pwrite64)
FERN_ALIAS(pwrite, __pwrite64)
FERN_CALL(Files, ssize_t, preadv, (int fd, const iovec* parts, int count, off_t offset),
          (fd, parts, count, offset))
FERN_ALIAS(preadv, preadv64)
FERN_CALL(Files, ssize_t, pwritev, (int fd, const iovec* parts, int count, off_t offset),
          (fd, parts, count, offset))
FERN_ALIAS(pwritev, pwritev64)
FERN_CALL(Files, int, fsync, (int fd), (fd))
FERN_CALL(Files, int, fdatasync, (int fd), (fd))
FERN_CALL(Files, void, sync, (), ())
FERN_CALL(Files, int, syncfs, (int fd), (fd))
FERN_CALL(Files, int, msync, (void* memory, size_t size, int flags), (memory, size, flags))
FERN_CALL(Files, int, sync_file_range, (int fd, off_t offset, off_t size, unsigned flags),
          (fd, offset, size, flags))
FERN_CALL(Files, ssize_t, copy_file_range,
          (int in, off64_t* in_offset, int out, off64_t* out_offset, size_t size, unsigned flags),
          (in, in_offset, out, out_offset, size, flags))
FERN_CALL(Files, int, fallocate, (int fd, int mode, off_t offset, off_t size),
          (fd, mode, offset, size))
FERN_ALIAS(fallocate, fallocate64)
FERN_CALL(Files, int, posix_fallocate, (int fd, off_t offset, off_t size), (fd, offset, size))
FERN_ALIAS(posix_fallocate, posix_fallocate64)
FERN_CALL(Files, int, truncate, (const char* path, off_t size), (path, size))
FERN_ALIAS(truncate, truncate64)
FERN_CALL(Files, int, ftruncate, (int fd, off_t size), (fd, size))
FERN_ALIAS(ftruncate, ftruncate64)
FERN_CALL(Files, FILE*, fopen, (const char* path, const char* mode), (path, mode))
FERN_ALIAS(fopen, fopen64)
FERN_ALIAS(fopen, _IO_fopen)
FERN_CALL(Files, int, aio_suspend, (const aiocb* const* list, int count, const timespec* timeout),
          (list, count, timeout))
FERN_ALIAS(aio_suspend, aio_suspend64)
FERN_CALL(Files, int, lio_listio, (int mode, aiocb* const* list, int count, sigevent* event),
          (mode, list, count, event))
FERN_ALIAS(lio_listio, lio_listio64)
FERN_CALL(Files, int, flock, (int fd, int operation), (fd, operation))
FERN_CALL(Files, int, lockf, (int fd, int command, off_t size), (fd, command, size))
FERN_ALIAS(lockf, lockf64)

// --- Stdio
FERN_CALL(Stdio, std::size_t, fread, (void* to, std::size_t size, std::size_t count, FILE* file),
          (to, size, count, file))
FERN_ALIAS(fread, _IO_fread)
FERN_CHECKED(std::size_t, __fread_chk, fread, size != 0 && count > room / size,
             (void* to, std::size_t room, std::size_t size, std::size_t count, FILE* file),
             (to, room, size, count, file), (to, size, count, file))
FERN_CALL(Stdio, std::size_t, fread_unlocked,
          (void* to, std::size_t size, std::size_t count, FILE* file), (to, size, count, file))
FERN_CHECKED(std::size_t, __fread_unlocked_chk, fread_unlocked, size != 0 && count > room / size,
             (void* to, std::size_t room, std::size_t size, std::size_t count, FILE* file),
             (to, room, size, count, file), (to, size, count, file))
FERN_CALL(Stdio, char*, fgets, (char* to, int size, FILE* file), (to, size, file))
FERN_ALIAS(fgets, _IO_fgets)
FERN_CHECKED(char*, __fgets_chk, fgets, size > 0 && static_cast<std::size_t>(size) > room,
             (char* to, std::size_t room, int size, FILE* file), (to, room, size, file),
             (to, size, file))
FERN_CALL(Stdio, char*, fgets_unlocked, (char* to, int size, FILE* file), (to, size, file))
FERN_CHECKED(char*, __fgets_unlocked_chk, fgets_unlocked,
             size > 0 && static_cast<std::size_t>(size) > room,
             (char* to, std::size_t room, int size, FILE* file), (to, room, size, file),
             (to, size, file))
FERN_CALL(Stdio, ssize_t, getdelim, (char** line, std::size_t* capacity, int end, FILE* file),
          (line, capacity, end, file))
FERN_ALIAS(getdelim, __getdelim)
FERN_CALL(Stdio, ssize_t, getline, (char** line, std::size_t* capacity, FILE* file),
          (line, capacity, file))
FERN_CALL(Stdio, int, fgetc, (FILE * file), (file))
FERN_ALIAS(fgetc, getc)
FERN_ALIAS(fgetc, _IO_getc)
FERN_CALL(Stdio, int, fgetc_unlocked, (FILE * file), (file))
FERN_CALL(Stdio, int, getc_unlocked, (FILE * file), (file))
FERN_CALL(Stdio, int, getchar, (), ())
FERN_CALL(Stdio, int, getchar_unlocked, (), ())
FERN_CALL(Stdio, int, __uflow, (FILE * file), (file))
FERN_CALL(Stdio, wint_t, fgetwc, (FILE * file), (file))
FERN_ALIAS(fgetwc, getwc)
FERN_CALL(Stdio, wint_t, fgetwc_unlocked, (FILE * file), (file))
FERN_ALIAS(fgetwc_unlocked, getwc_unlocked)
FERN_CALL(Stdio, wint_t, getwchar, (), ())
FERN_CALL(Stdio, wint_t, getwchar_unlocked, (), ())
FERN_CALL(Stdio, wchar_t*, fgetws, (wchar_t * to, int size, FILE* file), (to, size, file))
FERN_CHECKED(wchar_t*, __fgetws_chk, fgetws, size > 0 && static_cast<std::size_t>(size) > room,
             (wchar_t * to, std::size_t room, int size, FILE* file), (to, room, size, file),
             (to, size, file))
FERN_CALL(Stdio, wchar_t*, fgetws_unlocked, (wchar_t * to, int size, FILE* file), (to, size, file))
FERN_CHECKED(wchar_t*, __fgetws_unlocked_chk, fgetws_unlocked,
             size > 0 && static_cast<std::size_t>(size) > room,
             (wchar_t * to, std::size_t room, int size, FILE* file), (to, room, size, file),
             (to, size, file))
FERN_CALL(Stdio, int, vfscanf, (FILE * file, const char* format, va_list list),
          (file, format, list))
FERN_ALIAS(vfscanf, __vfscanf)
FERN_CALL(Stdio, int, __isoc99_vfscanf, (FILE * file, const char* format, va_list list),
          (file, format, list))
FERN_CALL(Stdio, int, vscanf, (const char* format, va_list list), (format, list))
FERN_CALL(Stdio, int, __isoc99_vscanf, (const char* format, va_list list), (format, list))
FERN_VARIADIC(int, fscanf, vfscanf, (FILE * file, const char* format, ...), (file, format, list))
FERN_VARIADIC(int, __isoc99_fscanf, __isoc99_vfscanf, (FILE * file, const char* format, ...),
              (file, format, list))
FERN_VARIADIC(int, scanf, vscanf, (const char* format, ...), (format, list))
FERN_VARIADIC(int, __isoc99_scanf, __isoc99_vscanf, (const char* format, ...), (format, list))
FERN_CALL(Stdio, std::size_t, fwrite,
          (const void* data, std::size_t size, std::size_t count, FILE* file),
          (data, size, count, file))
FERN_ALIAS(fwrite, _IO_fwrite)
FERN_CALL(Stdio, std::size_t, fwrite_unlocked,
          (const void* data, std::size_t size, std::size_t count, FILE* file),
          (data, size, count, file))
FERN_CALL(Stdio, int, fputs, (const char* text, FILE* file), (text, file))
FERN_ALIAS(fputs, _IO_fputs)
FERN_CALL(Stdio, int, fputs_unlocked, (const char* text, FILE* file), (text, file))
FERN_CALL(Stdio, int, puts, (const char* text), (text))
FERN_ALIAS(puts, _IO_puts)
FERN_CALL(Stdio, int, fputc, (int c, FILE* file), (c, file))
FERN_ALIAS(fputc, putc)
FERN_ALIAS(fputc, _IO_putc)
FERN_CALL(Stdio, int, fputc_unlocked, (int c, FILE* file), (c, file))
FERN_CALL(Stdio, int, putc_unlocked, (int c, FILE* file), (c, file))
FERN_CALL(Stdio, int, putchar, (int c), (c))
FERN_CALL(Stdio, int, putchar_unlocked, (int c), (c))
FERN_CALL(Stdio, int, __overflow, (FILE * file, int c), (file, c))
FERN_CALL(Stdio, int, vfprintf, (FILE * file, const char* format, va_list list),
          (file, format, list))
FERN_ALIAS(vfprintf, _IO_vfprintf)
FERN_CALL(Stdio, int, __vfprintf_chk, (FILE * file, int flag, const char* format, va_list list),
          (file, flag, format, list))
FERN_CALL(Stdio, int, vprintf, (const char* format, va_list list), (format, list))
FERN_CALL(Stdio, int, __vprintf_chk, (int flag, const char* format, va_list list),
          (flag, format, list))
FERN_VARIADIC(int, fprintf, vfprintf, (FILE * file, const char* format, ...), (file, format, list))
FERN_VARIADIC(int, _IO_fprintf, vfprintf, (FILE * file, const char* format, ...),
              (file, format, list))
FERN_VARIADIC(int, __fprintf_chk, __vfprintf_chk, (FILE * file, int flag, const char* format, ...),
              (file, flag, format, list))
FERN_VARIADIC(int, printf, vprintf, (const char* format, ...), (format, list))
FERN_VARIADIC(int, _IO_printf, vprintf, (const char* format, ...), (format, list))
FERN_VARIADIC(int, __printf_chk, __vprintf_chk, (int flag, const char* format, ...),
              (flag, format, list))
FERN_CALL(Stdio, int, vdprintf, (int fd, const char* format, va_list list), (fd, format, list))
FERN_CALL(Stdio, int, __vdprintf_chk, (int fd, int flag, const char* format, va_list list),
          (fd, flag, format, list))
FERN_VARIADIC(int, dprintf, vdprintf, (int fd, const char* format, ...), (fd, format, list))
FERN_VARIADIC(int, __dprintf_chk, __vdprintf_chk, (int fd, int flag, const char* format, ...),
              (fd, flag, format, list))
FERN_CALL(Stdio, int, getw, (FILE * file), (file))
FERN_CALL(Stdio, int, putw, (int word, FILE* file), (word, file))
FERN_CALL(Stdio, void, perror, (const char* text), (text))
FERN_CALL(Stdio, void, psignal, (int number, const char* text), (number, text))
FERN_CALL(Stdio, void, psiginfo, (const siginfo_t* info, const char* text), (info, text))
FERN_CALL(Stdio, wint_t, fputwc, (wchar_t c, FILE* file), (c, file))
FERN_ALIAS(fputwc, putwc)
FERN_CALL(Stdio, wint_t, fputwc_unlocked, (wchar_t c, FILE* file), (c, file))
FERN_ALIAS(fputwc_unlocked, putwc_unlocked)
FERN_CALL(Stdio, wint_t, putwchar, (wchar_t c), (c))
FERN_CALL(Stdio, wint_t, putwchar_unlocked, (wchar_t c), (c))
FERN_CALL(Stdio, int, fputws, (const wchar_t* text, FILE* file), (text, file))
FERN_CALL(Stdio, int, fputws_unlocked, (const wchar_t* text, FILE* file), (text, file))
FERN_CALL(Stdio, int, vfwprintf, (FILE * file, const wchar_t* format, va_list list),
          (file, format, list))
FERN_CALL(Stdio, int, __vfwprintf_chk, (FILE * file, int flag, const wchar_t* format, va_list list),
          (file, flag, format, list))
FERN_CALL(Stdio, int, vwprintf, (const wchar_t* format, va_list list), (format, list))
FERN_CALL(Stdio, int, __vwprintf_chk, (int flag, const wchar_t* format, va_list list),
          (flag, format, list))
FERN_VARIADIC(int, fwprintf, vfwprintf, (FILE * file, const wchar_t* format, ...),
              (file, format, list))
FERN_VARIADIC(int, __fwprintf_chk, __vfwprintf_chk,
              (FILE * file, int flag, const wchar_t* format, ...), (file, flag, format, list))
FERN_VARIADIC(int, wprintf, vwprintf, (const wchar_t* format, ...), (format, list))
FERN_VARIADIC(int, __wprintf_chk, __vwprintf_chk, (int flag, const wchar_t* format, ...),
              (flag, format, list))
FERN_CALL(Stdio, int, vfwscanf, (FILE * file, const wchar_t* format, va_list list),
          (file, format, list))
FERN_CALL(Stdio, int, __isoc99_vfwscanf, (FILE * file, const wchar_t* format, va_list list),
          (file, format, list))
FERN_CALL(Stdio, int, vwscanf, (const wchar_t* format, va_list list), (format, list))
FERN_CALL(Stdio, int, __isoc99_vwscanf, (const wchar_t* format, va_list list), (format, list))
FERN_VARIADIC(int, fwscanf, vfwscanf, (FILE * file, const wchar_t* format, ...),
              (file, format, list))
FERN_VARIADIC(int, __isoc99_fwscanf, __isoc99_vfwscanf, (FILE * file, const wchar_t* format, ...),
              (file, format, list))
FERN_VARIADIC(int, wscanf, vwscanf, (const wchar_t* format, ...), (format, list))
FERN_VARIADIC(int, __isoc99_wscanf, __isoc99_vwscanf, (const wchar_t* format, ...), (format, list))
FERN_CALL(Stdio, int, fflush, (FILE * file), (file))
FERN_ALIAS(fflush, _IO_fflush)
FERN_CALL(Stdio, int, fseek, (FILE * file, long offset, int from), (file, offset, from))
FERN_CALL(Stdio, int, fseeko, (FILE * file, off_t offset, int from), (file, offset, from))
FERN_CALL(Stdio, int, fseeko64, (FILE * file, off64_t offset, int from), (file, offset, from))
FERN_CALL(Stdio, long, ftell, (FILE * file), (file))
FERN_ALIAS(ftell, _IO_ftell)
FERN_CALL(Stdio, off_t, ftello, (FILE * file), (file))
FERN_CALL(Stdio, off64_t, ftello64, (FILE * file), (file))
FERN_CALL(Stdio, void, rewind, (FILE * file), (file))
FERN_CALL(Stdio, int, ungetc, (int c, FILE* file), (c, file))
FERN_ALIAS(ungetc, _IO_ungetc)
FERN_CALL(Stdio, int, setvbuf, (FILE * file, char* buffer, int mode, std::size_t size),
          (file, buffer, mode, size))
FERN_ALIAS(setvbuf, _IO_setvbuf)
FERN_CALL(Stdio, int, fflush_unlocked, (FILE * file), (file))

// --- Signals
FERN_ALWAYS(Signals, int, sigaction,
            (int number, const struct sigaction* action, struct sigaction* old),
            (number, action, old))
FERN_ALIAS(sigaction, __sigaction)
FERN_ALWAYS(Signals, sighandler_t, signal, (int number, sighandler_t handler), (number, handler))
FERN_ALIAS(signal, bsd_signal)
FERN_ALIAS(signal, ssignal)
FERN_ALWAYS(Signals, sighandler_t, sysv_signal, (int number, sighandler_t handler),
            (number, handler))
FERN_ALIAS(sysv_signal, __sysv_signal)
FERN_ALWAYS(Signals, sighandler_t, sigset, (int number, sighandler_t handler), (number, handler))
FERN_ALWAYS(Signals, int, siginterrupt, (int number, int flag), (number, flag))
FERN_ALWAYS(Signals, void, siglongjmp, (__jmp_buf_tag * to, int value), (to, value))
FERN_ALIAS(siglongjmp, longjmp)
FERN_ALIAS(siglongjmp, _longjmp)
FERN_ALWAYS(Signals, void, __longjmp_chk, (__jmp_buf_tag * to, int value), (to, value))
FERN_CALL(Signals, int, sigwait, (const sigset_t* set, int* number), (set, number))
FERN_CALL(Signals, int, sigwaitinfo, (const sigset_t* set, siginfo_t* info), (set, info))
FERN_CALL(Signals, int, sigtimedwait,
          (const sigset_t* set, siginfo_t* info, const timespec* timeout), (set, info, timeout))
FERN_CALL(Signals, int, sigsuspend, (const sigset_t* mask), (mask))
FERN_ALIAS(sigsuspend, __sigsuspend)
FERN_CALL(Signals, int, sigpause, (int first_signals), (first_signals))
FERN_CALL(Signals, int, __xpg_sigpause, (int number), (number))
FERN_CALL(Signals, int, __sigpause, (int which, int is_signal), (which, is_signal))
FERN_CALL(Signals, int, pause, (), ())

// --- Threads
#ifndef FERN_WITHOUT_THREADS
FERN_REPLACED(int, pthread_create,
              (pthread_t * handle, const pthread_attr_t* attributes, void* (*start)(void*),
               void* argument),
              (handle, attributes, start, argument))
FERN_REPLACED(void, pthread_exit, (void* value), (value))
FERN_REPLACED(pthread_t, pthread_self, (), ())
FERN_REPLACED(int, pthread_join, (pthread_t handle, void** value), (handle, value))
FERN_REPLACED(int, pthread_tryjoin_np, (pthread_t handle, void** value), (handle, value))
FERN_REPLACED(int, pthread_timedjoin_np, (pthread_t handle, void** value, const timespec* time),
              (handle, value, time))
FERN_REPLACED(int, pthread_clockjoin_np,
              (pthread_t handle, void** value, clockid_t clock, const timespec* time),
              (handle, value, clock, time))
FERN_REPLACED(int, pthread_detach, (pthread_t handle), (handle))
FERN_REPLACED(int, pthread_cancel, (pthread_t handle), (handle))
FERN_REPLACED(void, pthread_testcancel, (), ())
FERN_REPLACED(int, pthread_setcancelstate, (int state, int* before), (state, before))
FERN_REPLACED(int, pthread_setcanceltype, (int type, int* before), (type, before))
FERN_REPLACED(void, __pthread_register_cancel, (__pthread_unwind_buf_t * buffer), (buffer))
FERN_REPLACED(void, __pthread_unregister_cancel, (__pthread_unwind_buf_t * buffer), (buffer))
FERN_REPLACED(void, __pthread_unwind_next, (__pthread_unwind_buf_t * buffer), (buffer))
FERN_REPLACED(int, pthread_setname_np, (pthread_t handle, const char* name), (handle, name))
FERN_REPLACED(int, pthread_getname_np, (pthread_t handle, char* name, size_t size),
              (handle, name, size))
FERN_REPLACED(int, pthread_getattr_np, (pthread_t handle, pthread_attr_t* attributes),
              (handle, attributes))
FERN_REPLACED(int, pthread_setaffinity_np, (pthread_t handle, size_t size, const cpu_set_t* set),
              (handle, size, set))
FERN_REPLACED(int, pthread_getaffinity_np, (pthread_t handle, size_t size, cpu_set_t* set),
              (handle, size, set))
FERN_REPLACED(int, pthread_getcpuclockid, (pthread_t handle, clockid_t* clock), (handle, clock))
FERN_REPLACED(int, pthread_getschedparam, (pthread_t handle, int* policy, sched_param* parameters),
              (handle, policy, parameters))
FERN_REPLACED(int, pthread_setschedparam,
              (pthread_t handle, int policy, const sched_param* parameters),
              (handle, policy, parameters))
FERN_REPLACED(int, pthread_setschedprio, (pthread_t handle, int priority), (handle, priority))
FERN_REPLACED(int, pthread_sigmask, (int how, const sigset_t* set, sigset_t* old), (how, set, old))
FERN_REPLACED(int, sigprocmask, (int how, const sigset_t* set, sigset_t* old), (how, set, old))
FERN_REPLACED(int, posix_spawn,
              (pid_t * child, const char* path, const posix_spawn_file_actions_t* actions,
               const posix_spawnattr_t* attributes, char* const* arguments,
               char* const* environment),
              (child, path, actions, attributes, arguments, environment))
FERN_REPLACED(int, posix_spawnp,
              (pid_t * child, const char* file, const posix_spawn_file_actions_t* actions,
               const posix_spawnattr_t* attributes, char* const* arguments,
               char* const* environment),
              (child, file, actions, attributes, arguments, environment))
FERN_REPLACED(int, pthread_kill, (pthread_t handle, int signal), (handle, signal))
FERN_REPLACED(int, pthread_sigqueue, (pthread_t handle, int signal, const sigval value),
              (handle, signal, value))
FERN_ALWAYS(Threads, int, pthread_key_create, (pthread_key_t * key, void (*destructor)(void*)),
            (key, destructor))
FERN_ALIAS(pthread_key_create, __pthread_key_create)
FERN_ALWAYS(Threads, int, pthread_key_delete, (pthread_key_t key), (key))
FERN_REPLACED(void*, pthread_getspecific, (pthread_key_t key), (key))
FERN_ALIAS(pthread_getspecific, __pthread_getspecific)
FERN_REPLACED(int, pthread_setspecific, (pthread_key_t key, const void* data), (key, data))
FERN_ALIAS(pthread_setspecific, __pthread_setspecific)
FERN_REPLACED(int, pthread_mutex_init,
              (pthread_mutex_t * mutex, const pthread_mutexattr_t* attributes), (mutex, attributes))
FERN_ALIAS(pthread_mutex_init, __pthread_mutex_init)
FERN_REPLACED(int, pthread_mutex_lock, (pthread_mutex_t * mutex), (mutex))
FERN_ALIAS(pthread_mutex_lock, __pthread_mutex_lock)
FERN_REPLACED(int, pthread_mutex_trylock, (pthread_mutex_t * mutex), (mutex))
FERN_ALIAS(pthread_mutex_trylock, __pthread_mutex_trylock)
FERN_REPLACED(int, pthread_mutex_timedlock, (pthread_mutex_t * mutex, const timespec* time),
              (mutex, time))
FERN_REPLACED(int, pthread_mutex_clocklock,
              (pthread_mutex_t * mutex, clockid_t clock, const timespec* time),
              (mutex, clock, time))
FERN_REPLACED(int, pthread_mutex_unlock, (pthread_mutex_t * mutex), (mutex))
FERN_ALIAS(pthread_mutex_unlock, __pthread_mutex_unlock)
FERN_REPLACED(int, pthread_mutex_consistent, (pthread_mutex_t * mutex), (mutex))
FERN_ALIAS(pthread_mutex_consistent, pthread_mutex_consistent_np)
FERN_REPLACED(int, pthread_cond_wait, (pthread_cond_t * cond, pthread_mutex_t* mutex),
              (cond, mutex))
FERN_REPLACED(int, pthread_cond_timedwait,
              (pthread_cond_t * cond, pthread_mutex_t* mutex, const timespec* time),
              (cond, mutex, time))
FERN_REPLACED(int, pthread_cond_clockwait,
              (pthread_cond_t * cond, pthread_mutex_t* mutex, clockid_t clock,
               const timespec* time),
              (cond, mutex, clock, time))
FERN_REPLACED(int, pthread_cond_signal, (pthread_cond_t * cond), (cond))
FERN_REPLACED(int, pthread_cond_broadcast, (pthread_cond_t * cond), (cond))
FERN_REPLACED(int, pthread_rwlock_init,
              (pthread_rwlock_t * lock, const pthread_rwlockattr_t* attributes), (lock, attributes))
FERN_ALIAS(pthread_rwlock_init, __pthread_rwlock_init)
FERN_REPLACED(int, pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock))
FERN_ALIAS(pthread_rwlock_rdlock, __pthread_rwlock_rdlock)
FERN_REPLACED(int, pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock))
FERN_ALIAS(pthread_rwlock_wrlock, __pthread_rwlock_wrlock)
FERN_REPLACED(int, pthread_rwlock_tryrdlock, (pthread_rwlock_t * lock), (lock))
FERN_ALIAS(pthread_rwlock_tryrdlock, __pthread_rwlock_tryrdlock)
FERN_REPLACED(int, pthread_rwlock_trywrlock, (pthread_rwlock_t * lock), (lock))
FERN_ALIAS(pthread_rwlock_trywrlock, __pthread_rwlock_trywrlock)
FERN_REPLACED(int, pthread_rwlock_timedrdlock, (pthread_rwlock_t * lock, const timespec* time),
              (lock, time))
FERN_REPLACED(int, pthread_rwlock_timedwrlock, (pthread_rwlock_t * lock, const timespec* time),
              (lock, time))
FERN_REPLACED(int, pthread_rwlock_clockrdlock,
              (pthread_rwlock_t * lock, clockid_t clock, const timespec* time), (lock, clock, time))
FERN_REPLACED(int, pthread_rwlock_clockwrlock,
              (pthread_rwlock_t * lock, clockid_t clock, const timespec* time), (lock, clock, time))
FERN_REPLACED(int, pthread_rwlock_unlock, (pthread_rwlock_t * lock), (lock))
FERN_ALIAS(pthread_rwlock_unlock, __pthread_rwlock_unlock)
FERN_REPLACED(int, pthread_barrier_wait, (pthread_barrier_t * barrier), (barrier))
FERN_REPLACED(void, flockfile, (FILE * file), (file))
FERN_ALIAS(flockfile, _IO_flockfile)
FERN_REPLACED(int, ftrylockfile, (FILE * file), (file))
FERN_ALIAS(ftrylockfile, _IO_ftrylockfile)
FERN_REPLACED(void, funlockfile, (FILE * file), (file))
FERN_ALIAS(funlockfile, _IO_funlockfile)
FERN_REPLACED(int, pthread_spin_lock, (pthread_spinlock_t * lock), (lock))
FERN_REPLACED(int, pthread_spin_trylock, (pthread_spinlock_t * lock), (lock))
FERN_REPLACED(int, sem_wait, (sem_t * semaphore), (semaphore))
FERN_REPLACED(int, sem_trywait, (sem_t * semaphore), (semaphore))
FERN_REPLACED(int, sem_timedwait, (sem_t * semaphore, const timespec* time), (semaphore, time))
FERN_REPLACED(int, sem_clockwait, (sem_t * semaphore, clockid_t clock, const timespec* time),
              (semaphore, clock, time))
FERN_REPLACED(int, sem_post, (sem_t * semaphore), (semaphore))
FERN_REPLACED(int, pthread_once, (pthread_once_t * control, void (*routine)()), (control, routine))
FERN_ALIAS(pthread_once, __pthread_once)
FERN_REPLACED(int, sched_yield, (), ())
FERN_ALIAS(sched_yield, __sched_yield)
FERN_ALIAS(sched_yield, pthread_yield)
FERN_REPLACED(int, thrd_create, (thrd_t * handle, thrd_start_t start, void* argument),
              (handle, start, argument))
FERN_REPLACED(int, thrd_join, (thrd_t handle, int* result), (handle, result))
FERN_REPLACED(int, thrd_detach, (thrd_t handle), (handle))
FERN_REPLACED(void, thrd_exit, (int result), (result))
FERN_REPLACED(thrd_t, thrd_current, (), ())
FERN_REPLACED(void, thrd_yield, (), ())
FERN_REPLACED(int, mtx_lock, (mtx_t * mutex), (mutex))
FERN_REPLACED(int, mtx_trylock, (mtx_t * mutex), (mutex))
FERN_REPLACED(int, mtx_timedlock, (mtx_t * mutex, const timespec* time), (mutex, time))
FERN_REPLACED(int, mtx_unlock, (mtx_t * mutex), (mutex))
FERN_REPLACED(int, cnd_wait, (cnd_t * cond, mtx_t* mutex), (cond, mutex))
FERN_REPLACED(int, cnd_timedwait, (cnd_t * cond, mtx_t* mutex, const timespec* time),
              (cond, mutex, time))
FERN_REPLACED(int, cnd_signal, (cnd_t * cond), (cond))
FERN_REPLACED(int, cnd_broadcast, (cnd_t * cond), (cond))
FERN_REPLACED(int, tss_create, (tss_t * key, tss_dtor_t destructor), (key, destructor))
FERN_REPLACED(void, tss_delete, (tss_t key), (key))
FERN_REPLACED(void*, tss_get, (tss_t key), (key))
FERN_REPLACED(int, tss_set, (tss_t key, void* value), (key, value))
FERN_REPLACED(void, call_once, (once_flag * flag, void (*routine)()), (flag, routine))

FERN_SPECIAL(Threads, syscall)
#ifdef FERN_WRAPS_DLOPEN
FERN_SPECIAL(Threads, dlopen)
#endif
#endif

#undef FERN_CALL
#undef FERN_ALIAS
#undef FERN_CHECKED
#undef FERN_REPLACED
#undef FERN_ALWAYS
#undef FERN_SPECIAL
#undef FERN_VARIADIC
