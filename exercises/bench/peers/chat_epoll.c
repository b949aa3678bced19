/* The chat room bare: one thread and epoll. All that is ready is read and appended to every member's buffer, and
 * only then each buffer leaves in one write. No check of names but that they are not empty, no limit for who does
 * not read. */
#include "peer.h"
#include <signal.h>
#include <sys/epoll.h>

enum { EVENTS = 4096, INPUT = 32768 };

struct member {
    int fd;
    int dead;
    int waiting; /* for room in the kernel */
    char name[64]; /* empty: not logged in */
    char *input;
    size_t len;
    char *output;
    size_t filled, room;
};

static struct member **members;
static size_t count, space, logged_in;
static int poll_fd;

static void put(struct member *to, const char *text, size_t len)
{
    if (to->filled + len > to->room) {
        to->room = 2 * (to->filled + len);
        to->output = realloc(to->output, to->room);
        if (!to->output)
            fail("realloc");
    }
    memcpy(to->output + to->filled, text, len);
    to->filled += len;
}

static void put_all(const struct member *except, const char *text, size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (members[i] != except && members[i]->name[0] && !members[i]->dead)
            put(members[i], text, len);
}

static void leave(struct member *member, const char *word)
{
    char text[128];

    if (member->dead)
        return;
    member->dead = 1;
    if (member->name[0]) {
        logged_in--;
        put_all(member, text, (size_t)snprintf(text, sizeof text, "%s %zu %s\n", word, logged_in, member->name));
    }
}

static void handle(struct member *member, char *line, size_t len)
{
    static char text[INPUT + 128];

    if (member->name[0] && len > 4 && memcmp(line, "SAY ", 4) == 0) {
        size_t name_len = strlen(member->name);
        memcpy(text, "LINE ", 5);
        memcpy(text + 5, member->name, name_len);
        memcpy(text + 5 + name_len, ": ", 2);
        memcpy(text + 7 + name_len, line + 4, len - 4);
        text[3 + name_len + len] = '\n';
        put_all(member, text, 4 + name_len + len);
    } else if (!member->name[0] && len > 6 && len < 6 + sizeof member->name && memcmp(line, "LOGIN ", 6) == 0) {
        memcpy(member->name, line + 6, len - 6);
        logged_in++;
        put(member, text, (size_t)snprintf(text, sizeof text, "WELCOME %s\n", member->name));
        put_all(NULL, text, (size_t)snprintf(text, sizeof text, "JOINED %zu %s\n", logged_in, member->name));
    } else if (len == 5 && memcmp(line, "LEAVE", 5) == 0) {
        put(member, "BYE you have left\n", 18);
        leave(member, "LEFT");
    } else {
        put(member, "WARNING not understood\n", 23);
    }
}

static void receive(struct member *member)
{
    ssize_t got = read(member->fd, member->input + member->len, INPUT - member->len);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        leave(member, "LOST");
        return;
    }
    member->len += (size_t)got;
    char *line = member->input, *limit = member->input + member->len, *newline;
    while (!member->dead && (newline = memchr(line, '\n', (size_t)(limit - line)))) {
        handle(member, line, (size_t)(newline - line));
        line = newline + 1;
    }
    member->len = (size_t)(limit - line);
    memmove(member->input, line, member->len);
    if (member->len == INPUT)
        leave(member, "LOST");
}

static void send_to(struct member *member)
{
    if (member->filled == 0)
        return;
    ssize_t sent = write(member->fd, member->output, member->filled);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        leave(member, "LOST");
        return;
    }
    if (sent > 0) {
        member->filled -= (size_t)sent;
        memmove(member->output, member->output + sent, member->filled);
    }
    int waiting = member->filled > 0;
    if (waiting != member->waiting) {
        struct epoll_event event = {.events = EPOLLIN | (waiting ? EPOLLOUT : 0), .data.ptr = member};
        member->waiting = waiting;
        if (epoll_ctl(poll_fd, EPOLL_CTL_MOD, member->fd, &event) < 0)
            fail("epoll_ctl");
    }
}

static void accept_one(int listener)
{
    int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct member *member;
    struct epoll_event event = {.events = EPOLLIN};

    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (count == space) {
        space = space ? 2 * space : 64;
        members = realloc(members, space * sizeof *members);
    }
    member = calloc(1, sizeof *member);
    if (!members || !member || !(member->input = malloc(INPUT)))
        fail("memory");
    member->fd = fd;
    members[count++] = member;
    event.data.ptr = member;
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl");
}

int main(int argc, char **argv)
{
    static struct epoll_event events[EVENTS];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    int listener = open_socket(SOCK_STREAM, argc, argv);

    signal(SIGPIPE, SIG_IGN);
    poll_fd = epoll_create1(0);
    if (poll_fd < 0 || epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event) < 0)
        fail("epoll");
    for (;;) {
        int ready = epoll_wait(poll_fd, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct member *member = events[i].data.ptr;
            if (!member)
                accept_one(listener);
            else if (!member->dead && (events[i].events & ~(unsigned)EPOLLOUT))
                receive(member);
        }
        for (size_t i = 0; i < count; i++)
            if (!members[i]->dead)
                send_to(members[i]);
        for (size_t i = 0; i < count;) {
            struct member *member = members[i];
            if (!member->dead) {
                i++;
                continue;
            }
            if (member->filled && write(member->fd, member->output, member->filled) < 0) {
                /* Whoever is gone does not get the goodbye. */
            }
            close(member->fd);
            free(member->input);
            free(member->output);
            free(member);
            members[i] = members[--count];
        }
    }
}
