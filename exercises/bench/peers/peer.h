/* What the bare servers share: a socket on this computer, and the line that says where it listens. */
#ifndef PEER_H
#define PEER_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Binds 127.0.0.1, to the port given as the only argument or to a free one, and prints it. */
static int open_socket(int type, int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        fail("socket");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(argc > 1 ? (unsigned short)atoi(argv[1]) : 0);
    if ((type & SOCK_STREAM) && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        fail("SO_REUSEADDR");
    if (bind(fd, (struct sockaddr *)&address, len) < 0)
        fail("bind");
    if ((type & SOCK_STREAM) && listen(fd, 4096) < 0)
        fail("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        fail("getsockname");
    printf("Listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

#endif
