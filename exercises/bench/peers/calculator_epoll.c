/* The calculator bare: one thread, epoll, every complete line of a read answered, then one write. Binary floating
 * point instead of exact decimals, no screen, and a client that does not read is cut off. */
#include "peer.h"
#include <sys/epoll.h>

enum { EVENTS = 256, INPUT = 16384 };

struct session {
    int fd;
    int named;
    size_t len;
    char input[INPUT + 1];
};

/* Appends the reply to one line, which ends with a NUL; returns its length, 0 for the end of the session. */
static size_t answer(struct session *session, char *line, char *reply, size_t room)
{
    char *rest, *end;

    if (!session->named) {
        session->named = 1;
        return (size_t)snprintf(reply, room, "hello %s\n", line);
    }
    if (strcmp(line, "q") == 0)
        return 0;
    double left = strtod(line, &rest), right, value;
    if (rest == line || rest[0] != ' ' || rest[1] == 0 || rest[2] != ' ')
        return (size_t)snprintf(reply, room, "error: malformed\n");
    right = strtod(rest + 3, &end);
    if (end == rest + 3 || *end != 0)
        return (size_t)snprintf(reply, room, "error: malformed\n");
    switch (rest[1]) {
    case '+': value = left + right; break;
    case '-': value = left - right; break;
    case '*': value = left * right; break;
    case '/': value = left / right; break;
    default: return (size_t)snprintf(reply, room, "error: malformed\n");
    }
    return (size_t)snprintf(reply, room, "= %.12g\n", value);
}

/* Handles what has arrived; returns 0 when the session is over. */
static int serve(struct session *session)
{
    static char output[64 * INPUT];
    size_t filled = 0;
    ssize_t got = read(session->fd, session->input + session->len, INPUT - session->len);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    if (got <= 0)
        return 0;
    session->len += (size_t)got;
    char *line = session->input, *limit = session->input + session->len, *newline;
    int open = 1;
    while (open && (newline = memchr(line, '\n', (size_t)(limit - line)))) {
        *newline = 0;
        size_t len = answer(session, line, output + filled, sizeof output - filled);
        open = len > 0;
        filled += len;
        line = newline + 1;
    }
    session->len = (size_t)(limit - line);
    memmove(session->input, line, session->len);
    if (session->len == INPUT)
        return 0;
    return (filled == 0 || write(session->fd, output, filled) == (ssize_t)filled) && open;
}

int main(int argc, char **argv)
{
    int listener = open_socket(SOCK_STREAM, argc, argv), poll = epoll_create1(0), on = 1;
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.ptr = NULL};

    if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event) < 0)
        fail("epoll");
    for (;;) {
        int ready = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct session *session = events[i].data.ptr;
            if (session) {
                if (!serve(session)) {
                    close(session->fd);
                    free(session);
                }
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0)
                continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            session = calloc(1, sizeof *session);
            if (!session)
                fail("calloc");
            session->fd = fd;
            event = (struct epoll_event){.events = EPOLLIN, .data.ptr = session};
            if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0)
                fail("epoll_ctl");
        }
    }
}
