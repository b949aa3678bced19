/* The clock as a plain loop: one datagram in, the time formatted, one datagram out. */
#include "peer.h"
#include <time.h>

int main(int argc, char **argv)
{
    int fd = open_socket(SOCK_DGRAM, argc, argv);
    char request[2048], reply[32];
    struct sockaddr_in client;

    for (;;) {
        socklen_t client_len = sizeof client;
        ssize_t len = recvfrom(fd, request, sizeof request, 0, (struct sockaddr *)&client, &client_len);
        if (len < 0)
            continue;
        const char *format;
        if (len == 9 && memcmp(request, "SEND_DATE", 9) == 0)
            format = "%Y-%m-%d";
        else if (len == 9 && memcmp(request, "SEND_TIME", 9) == 0)
            format = "%H:%M:%S";
        else
            continue;
        time_t now = time(NULL);
        struct tm local;
        localtime_r(&now, &local);
        size_t reply_len = strftime(reply, sizeof reply, format, &local);
        sendto(fd, reply, reply_len, 0, (struct sockaddr *)&client, client_len);
    }
}
