/* The least that is a Lambda runtime in C: asks for an event, sends it back, over plain sockets. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static char answer[65536];

static char *ask(const char *head, const char *body) {
    struct sockaddr_in place = {.sin_family = AF_INET};
    char host[64];
    snprintf(host, sizeof host, "%s", getenv("AWS_LAMBDA_RUNTIME_API"));
    char *port = strchr(host, ':');
    *port++ = 0;
    place.sin_port = htons((unsigned short)atoi(port));
    inet_pton(AF_INET, host, &place.sin_addr);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&place, sizeof place) != 0) exit(2);
    char request[65536];
    int size = snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: runtime\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                        head, strlen(body), body);
    if (write(connection, request, (size_t)size) != size) exit(3);
    size_t at = 0;
    for (ssize_t got; (got = read(connection, answer + at, sizeof answer - 1 - at)) > 0;) at += (size_t)got;
    answer[at] = 0;
    close(connection);
    char *end = strstr(answer, "\r\n\r\n");
    if (end == NULL) exit(4);
    return end + 4;
}

int main(void) {
    for (;;) {
        char *event = ask("GET /2018-06-01/runtime/invocation/next", "");
        char id[64], head[256], copy[32768];
        for (char *line = answer; line < event; line = strstr(line, "\r\n") + 2)
            if (strncasecmp(line, "lambda-runtime-aws-request-id: ", 31) == 0) sscanf(line + 31, "%63[^\r]", id);
        snprintf(copy, sizeof copy, "%s", event);
        snprintf(head, sizeof head, "POST /2018-06-01/runtime/invocation/%s/response", id);
        ask(head, copy);
    }
}
