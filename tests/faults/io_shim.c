/* Loaded with LD_PRELOAD: what is read and written comes and goes in pieces, and not always at once. On
 * streams (sockets and pipes) only: a datagram in pieces is another one, and a file is never interrupted.
 *
 *   SHIM_MAX=n    at most n bytes per call; with SHIM_RANDOM=1 a number of bytes up to that
 *   SHIM_EVERY=n  every n-th call is EINTR, and the one after it EAGAIN where the descriptor does not block (n > 2)
 *   SHIM_COUNT=f  at the end, how many calls were cut or refused is written into this file */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static size_t most;
static unsigned every, is_random;
static unsigned long calls, injected;

__attribute__((constructor)) static void begin(void)
{
    const char *text;
    if ((text = getenv("SHIM_MAX")))
        most = strtoul(text, 0, 10);
    if ((text = getenv("SHIM_EVERY")))
        every = (unsigned)strtoul(text, 0, 10);
    is_random = getenv("SHIM_RANDOM") != 0;
}

__attribute__((destructor)) static void end(void)
{
    const char *name = getenv("SHIM_COUNT");
    FILE *file = name ? fopen(name, "w") : 0;
    if (file) {
        fprintf(file, "%lu\n", injected);
        fclose(file);
    }
}

static int is_stream(int fd)
{
    struct stat stat;
    int type = 0;
    socklen_t size = sizeof type;
    if (fstat(fd, &stat))
        return 0;
    if (S_ISFIFO(stat.st_mode))
        return 1;
    return S_ISSOCK(stat.st_mode) && !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) &&
           type == SOCK_STREAM;
}

/* Whether this call fails, with errno set. */
static int refused(int fd)
{
    unsigned long n = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (!every || n % every > 1 || n < every)
        return 0;
    if (n % every == 0)
        errno = EINTR;
    else if (syscall(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK)
        errno = EAGAIN;
    else
        return 0;
    __atomic_add_fetch(&injected, 1, __ATOMIC_RELAXED);
    return 1;
}

static size_t cut(size_t n)
{
    static unsigned long state = 88172645463325252;
    size_t limit = most;
    if (!limit)
        return n;
    if (is_random) {
        /* Several threads may do this at once: any number will do. */
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        limit = 1 + state % most;
    }
    if (n <= limit)
        return n;
    __atomic_add_fetch(&injected, 1, __ATOMIC_RELAXED);
    return limit;
}

#define GUARD(fd, n)                                                                                         \
    if (is_stream(fd)) {                                                                                     \
        int before = errno;                                                                                  \
        if (refused(fd))                                                                                     \
            return -1;                                                                                       \
        errno = before;                                                                                      \
        n = cut(n);                                                                                          \
    }

ssize_t read(int fd, void *to, size_t n)
{
    GUARD(fd, n)
    return syscall(SYS_read, fd, to, n);
}

ssize_t write(int fd, const void *from, size_t n)
{
    GUARD(fd, n)
    return syscall(SYS_write, fd, from, n);
}

ssize_t recv(int fd, void *to, size_t n, int flags)
{
    GUARD(fd, n)
    return syscall(SYS_recvfrom, fd, to, n, flags, 0, 0);
}

ssize_t recvfrom(int fd, void *to, size_t n, int flags, struct sockaddr *from, socklen_t *size)
{
    GUARD(fd, n)
    return syscall(SYS_recvfrom, fd, to, n, flags, from, size);
}

ssize_t send(int fd, const void *from, size_t n, int flags)
{
    GUARD(fd, n)
    return syscall(SYS_sendto, fd, from, n, flags, 0, 0);
}

ssize_t sendto(int fd, const void *from, size_t n, int flags, const struct sockaddr *to, socklen_t size)
{
    GUARD(fd, n)
    return syscall(SYS_sendto, fd, from, n, flags, to, size);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t n)
{
    GUARD(to, n)
    return syscall(SYS_sendfile, to, from, offset, n);
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t n)
{
    GUARD(to, n)
    return syscall(SYS_sendfile, to, from, offset, n);
}

/* The first piece that is not empty, cut. */
static ssize_t message(long call, int fd, const struct msghdr *whole, int flags, struct msghdr *part)
{
    struct iovec piece = {0, 0};
    size_t all = 0, i, first = 0;
    for (i = whole->msg_iovlen; i-- > 0;) {
        all += whole->msg_iov[i].iov_len;
        if (whole->msg_iov[i].iov_len)
            first = i;
    }
    *part = *whole;
    if (all && is_stream(fd)) {
        size_t n = all;
        GUARD(fd, n)
        if (n < all) {
            piece = whole->msg_iov[first];
            if (n < piece.iov_len)
                piece.iov_len = n;
            part->msg_iov = &piece;
            part->msg_iovlen = 1;
        }
    }
    return syscall(call, fd, part, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *whole, int flags)
{
    struct msghdr part;
    return message(SYS_sendmsg, fd, whole, flags, &part);
}

ssize_t recvmsg(int fd, struct msghdr *whole, int flags)
{
    struct msghdr part;
    ssize_t n = message(SYS_recvmsg, fd, whole, flags, &part);
    whole->msg_namelen = part.msg_namelen;
    whole->msg_controllen = part.msg_controllen;
    whole->msg_flags = part.msg_flags;
    return n;
}

int accept4(int fd, struct sockaddr *from, socklen_t *size, int flags)
{
    if (refused(fd))
        return -1;
    return (int)syscall(SYS_accept4, fd, from, size, flags);
}
