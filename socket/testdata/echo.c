/* An ordinary program: echoes one connection after another until EOF. Run under libsd.so it is the
 * C end of the interoperation tests. Usage: echo listen | echo connect PORT | echo flood PORT. The last connects
 * too, and at a message that begins with F sends on TCP until that is full, says so, and reads no more. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buf[150000];
static int floods;

/* Full is what refuses though nothing is on its way. */
static void flood(int fd)
{
	struct tcp_info ti;
	socklen_t len = sizeof ti;
	send(fd, buf, 1, MSG_OOB);
	do {
		while (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == 0 && ti.tcpi_unacked != 0)
			usleep(1000);
	} while (send(fd, buf, sizeof buf, MSG_DONTWAIT) > 0);
	puts("full");
	fflush(stdout);
	for (;;)
		pause();
}

static int echo(int fd)
{
	for (;;) {
		ssize_t n = read(fd, buf, sizeof buf);
		if (n < 0)
			perror("echo: read");
		if (n <= 0)
			return n < 0;
		if (floods && buf[0] == 'F')
			flood(fd);
		for (ssize_t done = 0; done < n;) {
			ssize_t k = write(fd, buf + done, n - done);
			if (k < 0) {
				perror("echo: write");
				return 1;
			}
			done += k;
		}
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (argc == 3) {
		floods = strcmp(argv[1], "flood") == 0;
		a.sin_port = htons(atoi(argv[2]));
		if (connect(fd, (struct sockaddr *)&a, len) != 0)
			return 1;
		int failed = echo(fd);
		close(fd);
		return failed;
	}
	if (bind(fd, (struct sockaddr *)&a, len) != 0 || listen(fd, 16) != 0)
		return 1;
	getsockname(fd, (struct sockaddr *)&a, &len);
	printf("127.0.0.1:%d\n", ntohs(a.sin_port));
	fflush(stdout);
	for (;;) {
		int c = accept(fd, NULL, NULL);
		if (c < 0)
			return 1;
		echo(c);
		close(c);
	}
}
