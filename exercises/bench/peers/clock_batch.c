/* The clock as fast as the system calls allow: up to 64 datagrams with each call (recvmmsg, sendmmsg), and the
 * two texts formatted once a second. */
#include "peer.h"
#include <time.h>

enum { BATCH = 64, LEN = 2048 };

int main(int argc, char **argv)
{
    int fd = open_socket(SOCK_DGRAM, argc, argv);
    static char requests[BATCH][LEN];
    static struct sockaddr_in clients[BATCH];
    static struct iovec in_text[BATCH], out_text[BATCH];
    static struct mmsghdr in[BATCH], out[BATCH];
    static char date[32], hour[32];
    size_t date_len = 0, hour_len = 0;
    time_t formatted = -1;

    for (int i = 0; i < BATCH; i++) {
        in_text[i] = (struct iovec){requests[i], LEN};
        in[i].msg_hdr = (struct msghdr){.msg_name = &clients[i], .msg_iov = &in_text[i], .msg_iovlen = 1};
    }
    for (;;) {
        for (int i = 0; i < BATCH; i++)
            in[i].msg_hdr.msg_namelen = sizeof clients[i];
        int received = recvmmsg(fd, in, BATCH, MSG_WAITFORONE, NULL);
        if (received < 0)
            continue;
        time_t now = time(NULL);
        if (now != formatted) {
            struct tm local;
            localtime_r(&now, &local);
            date_len = strftime(date, sizeof date, "%Y-%m-%d", &local);
            hour_len = strftime(hour, sizeof hour, "%H:%M:%S", &local);
            formatted = now;
        }
        int answers = 0;
        for (int i = 0; i < received; i++) {
            if (in[i].msg_len != 9)
                continue;
            if (memcmp(requests[i], "SEND_DATE", 9) == 0)
                out_text[answers] = (struct iovec){date, date_len};
            else if (memcmp(requests[i], "SEND_TIME", 9) == 0)
                out_text[answers] = (struct iovec){hour, hour_len};
            else
                continue;
            out[answers].msg_hdr = (struct msghdr){.msg_name = &clients[i],
                                                   .msg_namelen = in[i].msg_hdr.msg_namelen,
                                                   .msg_iov = &out_text[answers],
                                                   .msg_iovlen = 1};
            answers++;
        }
        for (int sent = 0; sent < answers;) {
            int more = sendmmsg(fd, out + sent, answers - sent, 0);
            sent += more > 0 ? more : 1;
        }
    }
}
