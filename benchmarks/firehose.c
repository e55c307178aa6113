/* A stand-in for the app server that is never the bottleneck: it speaks the same lines over stdin and stdout.
 *
 *   initialize, thread/start   answered as the server does
 *   turn/start                 begins a turn; a directive in the user text says what the turn sends:
 *                              fire:n=200000;mix=delta|mixed|output|big2m;perline=1;rate=50;reqs=1000;win=100
 *   anything else              answered with its own params
 *
 *   n        lines to send           perline  one write per line, as a real server does
 *   mix      which lines             rate     lines per second of this turn (0: as fast as the pipe takes them)
 *   reqs     approvals to ask for    win      how many of them may be unanswered at a time
 *   bytes    of text in each line    stamp    each delta says when it was written: nanoseconds of CLOCK_MONOTONIC
 *            of mix=output                    (with mix=delta and a rate)
 *
 * Several turns may run at once; they take their chances in round-robin. The turn ends "completed" when all lines are
 * sent and all approvals were accepted, "failed" if one was not. Lines are rendered once per turn, a thousand at a
 * time; only the number in their item ids changes, so every block is about new items.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TURNS 256
#define BLOCK 1000
#define OWNERS 65536
#define MARK "########"
#define STAMP "\"emittedAtMs\":1790000000000}\n"

typedef struct { char *data; size_t size, room; } Buffer;

typedef struct {
    int used, perline, stamped, is_mixed, is_large;
    char thread[80], turn[80];
    long left, reqs, asked, answered, window, refused;
    double rate, due;
    unsigned number;              /* of the block, written over each MARK */
    long line;                    /* the next one of the block */
    Buffer block;
    long lines; size_t *ends;     /* of each line */
    long marks; size_t *mark;     /* of each MARK */
} Turn;

static Turn turns[TURNS];
static int owner[OWNERS];
static long next_request, next_thread, next_turn;
static Buffer out;
static Turn large; /* one line of 2 MiB, made when it is first needed */

static void die(const char *why) { perror(why); exit(1); }

static void room_for(Buffer *b, size_t more) {
    if (b->size + more <= b->room) return;
    while (b->size + more > b->room) b->room = b->room ? b->room * 2 : 4096;
    if (!(b->data = realloc(b->data, b->room))) die("realloc");
}

static void put(Buffer *b, const char *data, size_t size) {
    room_for(b, size);
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void print(Buffer *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    room_for(b, (size_t)size + 1);
    va_start(args, format);
    vsnprintf(b->data + b->size, (size_t)size + 1, format, args);
    va_end(args);
    b->size += (size_t)size;
}

static void write_all(const char *data, size_t size) {
    while (size) {
        ssize_t n = write(1, data, size);
        if (n <= 0) exit(0); /* nobody reads any more */
        data += n;
        size -= (size_t)n;
    }
}

static void flush(void) {
    write_all(out.data, out.size);
    out.size = 0;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define UNSTAMPED "00000000000000000000"

static void stamp(char *line, size_t size) {
    static const char before[] = "\"delta\":\"";
    char *at = memmem(line, size, before, sizeof before - 1), digits[sizeof UNSTAMPED];
    struct timespec t;
    if (!at) return;
    clock_gettime(CLOCK_MONOTONIC, &t);
    snprintf(digits, sizeof digits, "%011ld%09ld", (long)t.tv_sec, t.tv_nsec);
    memcpy(at + sizeof before - 1, digits, sizeof digits - 1);
}

/* -- the lines of a turn ------------------------------------------------------------------------------------------ */

static const char *PIECES[] = {" the", " function", "(self,", " value", "):\\n   ", " return", " parser", ".feed(data)",
                               " because", " each", " message", " holds", " its own", " offset", ",", "\\n\\nThen"};

static void end_line(Turn *t) { t->ends[t->lines++] = t->block.size; }

static void open_item(Turn *t, const char *what, const char *type, const char *prefix, int k, const char *rest, const char *at) {
    print(&t->block, "{\"method\":\"item/%s\",\"params\":{\"item\":{\"type\":\"%s\",\"id\":\"%s_0c47f1d2a9%03x58b3e6f0917d24ca83b5e6f1" MARK "\",%s},"
          "\"threadId\":\"%s\",\"turnId\":\"%s\",\"%s\":1790000000000}," STAMP, what, type, prefix, k, rest, t->thread, t->turn, at);
    end_line(t);
}

static void delta(Turn *t, const char *method, const char *prefix, int k, const char *text, const char *rest) {
    print(&t->block, "{\"method\":\"%s\",\"params\":{\"threadId\":\"%s\",\"turnId\":\"%s\",\"itemId\":\"%s_0c47f1d2a9%03x58b3e6f0917d24ca83b5e6f1"
          MARK "\",\"delta\":\"%s\"%s}," STAMP, method, t->thread, t->turn, prefix, k, text, rest);
    end_line(t);
}

static char *long_text(size_t size) {
    char *text = malloc(size + 1);
    if (!text) die("malloc");
    for (size_t i = 0; i < size; i++) text[i] = "src/package/module.py:128: a line of output, \\n"[i % 47];
    text[size] = 0;
    for (size_t i = size; i-- > size - 3;) if (text[i] == '\\') text[i] = '.'; /* do not cut an escape in two */
    return text;
}

#define MESSAGE "\"text\":\"%s\",\"phase\":null,\"memoryCitation\":null,\"delivery\":null,\"questions\":null"
#define COMMAND(status, output, code) \
    "\"pluginId\":null,\"scriptPath\":null,\"command\":\"/bin/bash -lc 'pytest -q'\",\"cwd\":\"/home/user/project\",\"processId\":null," \
    "\"source\":\"agent\",\"status\":\"" status "\",\"commandActions\":[{\"type\":\"unknown\",\"command\":\"pytest -q\"}]," \
    "\"aggregatedOutput\":" output ",\"exitCode\":" code ",\"durationMs\":" code

static void render_mixed(Turn *t) {
    char *big = long_text(65536);
    int spoken = 0, thought = 0, shown = 0;
    for (int k = 0; k < 6; k++) {
        open_item(t, "started", "reasoning", "rs", k, "\"summary\":[],\"content\":[]", "startedAtMs");
        for (; thought < 40 * (k + 1) / 6; thought++)
            delta(t, "item/reasoning/summaryTextDelta", "rs", k, PIECES[thought % 16], ",\"summaryIndex\":0");
        open_item(t, "completed", "reasoning", "rs", k, "\"summary\":[\"Reading the parser first.\"],\"content\":[]", "completedAtMs");
        open_item(t, "started", "agentMessage", "msg", k, "\"text\":\"\",\"phase\":null,\"memoryCitation\":null,\"delivery\":null,\"questions\":null", "startedAtMs");
        for (; spoken < 800 * (k + 1) / 6; spoken++)
            delta(t, "item/agentMessage/delta", "msg", k, PIECES[spoken % 16], "");
        open_item(t, "completed", "agentMessage", "msg", k, "\"text\":\"The whole message, said once more.\",\"phase\":\"commentary\",\"memoryCitation\":null,\"delivery\":null,\"questions\":null", "completedAtMs");
        open_item(t, "started", "commandExecution", "call", k, COMMAND("inProgress", "null", "null"), "startedAtMs");
        for (; shown < 101 * (k + 1) / 6; shown++)
            delta(t, "item/commandExecution/outputDelta", "call", k, shown == 50 ? big : "tests/test_parser.py ........ [ 42%]\\n", "");
        open_item(t, "completed", "commandExecution", "call", k, COMMAND("completed", "\"8 passed in 0.4s\\n\"", "0"), "completedAtMs");
    }
    for (int k = 0; k < 8; k++) {
        print(&t->block, "{\"method\":\"turn/diff/updated\",\"params\":{\"threadId\":\"%s\",\"turnId\":\"%s\",\"diff\":\"diff --git a/parser.py b/parser.py\\n--- a/parser.py\\n"
              "+++ b/parser.py\\n@@ -1,3 +1,3 @@\\n-old line %d\\n+new line\\n\"}," STAMP, t->thread, t->turn, k);
        end_line(t);
        print(&t->block, "{\"method\":\"turn/plan/updated\",\"params\":{\"threadId\":\"%s\",\"turnId\":\"%s\",\"explanation\":null,\"plan\":[{\"step\":\"Read\",\"status\":\"completed\"},"
              "{\"step\":\"Change\",\"status\":\"inProgress\"},{\"step\":\"Test\",\"status\":\"pending\"}]}," STAMP, t->thread, t->turn);
        end_line(t);
        if (k == 7) break;
        print(&t->block, "{\"method\":\"thread/tokenUsage/updated\",\"params\":{\"threadId\":\"%s\",\"turnId\":\"%s\",\"tokenUsage\":{\"total\":{\"totalTokens\":1200,\"inputTokens\":1000,"
              "\"cachedInputTokens\":100,\"cacheWriteInputTokens\":0,\"outputTokens\":200,\"reasoningOutputTokens\":50},\"last\":{\"totalTokens\":120,\"inputTokens\":100,"
              "\"cachedInputTokens\":10,\"cacheWriteInputTokens\":0,\"outputTokens\":20,\"reasoningOutputTokens\":5},\"modelContextWindow\":258400}}," STAMP, t->thread, t->turn);
        end_line(t);
    }
    free(big);
}

/* Rendering this costs as much as thousands of lines, so there is one for all turns; the ids are written over. */
static void render_large(Turn *t) {
    static size_t end;
    if (strlen(large.thread) != strlen(t->thread) || !large.ends) {
        static char *text;
        char *rest = NULL;
        if (!text) text = long_text(2 << 20);
        if (asprintf(&rest, MESSAGE, text) < 0) die("asprintf");
        free(large.block.data);
        memset(&large, 0, sizeof large);
        large.ends = &end;
        strcpy(large.thread, t->thread);
        strcpy(large.turn, t->turn);
        open_item(&large, "completed", "agentMessage", "msg", 99, rest, "completedAtMs");
        free(rest);
    }
    /* ..."threadId":"T","turnId":"U","completedAtMs":1790000000000},STAMP */
    char *turn = large.block.data + large.block.size - strlen("\",\"completedAtMs\":1790000000000}," STAMP) - strlen(t->turn);
    memcpy(turn, t->turn, strlen(t->turn));
    memcpy(turn - strlen("\",\"turnId\":\"") - strlen(t->thread), t->thread, strlen(t->thread));
    char digits[9];
    snprintf(digits, sizeof digits, "%08x", t->number);
    memcpy(large.block.data + strlen("{\"method\":\"item/completed\",\"params\":{\"item\":{\"type\":\"agentMessage\",\"id\":\"msg_0c47f1d2a906358b3e6f0917d24ca83b5e6f1"), digits, 8);
}

static void render(Turn *t, const char *mix, size_t bytes) {
    if (!(t->ends = malloc(BLOCK * sizeof *t->ends))) die("malloc");
    t->is_mixed = !strcmp(mix, "mixed");
    t->is_large = !strcmp(mix, "big2m");
    if (t->is_mixed) {
        if (!large.ends) render_large(t);
        render_mixed(t);
    } else if (!strcmp(mix, "output")) {
        char *text = long_text(bytes);
        for (size_t k = 0; k == 0 || (k < BLOCK && k * bytes < 1 << 20); k++) delta(t, "item/commandExecution/outputDelta", "call", (int)k, text, "");
        free(text);
    } else if (!t->is_large) {
        for (int k = 0; k < BLOCK; k++) delta(t, "item/agentMessage/delta", "msg", 0, t->stamped ? UNSTAMPED : PIECES[k % 16], "");
    }
    put(&t->block, "", 1); /* ends the search below; not sent */
    for (int pass = 0; pass < 2; pass++) {
        t->marks = 0;
        for (char *at = t->block.data; (at = strstr(at, MARK)); at += 8) {
            if (pass) t->mark[t->marks] = (size_t)(at - t->block.data);
            t->marks++;
        }
        if (!pass && !(t->mark = malloc((size_t)(t->marks + 1) * sizeof *t->mark))) die("malloc");
    }
}

static void number_block(Turn *t) {
    char digits[9];
    snprintf(digits, sizeof digits, "%08x", t->number++);
    for (long i = 0; i < t->marks; i++) memcpy(t->block.data + t->mark[i], digits, 8);
    t->line = 0;
    if (t->is_mixed && t->number % 20 == 0) {
        render_large(t);
        write_all(large.block.data, large.block.size);
    }
}

/* -- the life of a turn ------------------------------------------------------------------------------------------- */

#define TURN_JSON "{\"id\":\"%s\",\"rootTurnId\":\"%s\",\"items\":[],\"itemsView\":\"notLoaded\",\"status\":\"%s\",\"error\":null,\"startedAt\":1790000000,\"completedAt\":null,\"durationMs\":null}"

static void ask(Turn *t) {
    long id = next_request++;
    owner[id % OWNERS] = (int)(t - turns);
    t->asked++;
    print(&out, "{\"method\":\"item/commandExecution/requestApproval\",\"id\":%ld,\"params\":{\"kind\":\"command\",\"threadId\":\"%s\",\"turnId\":\"%s\",\"itemId\":\"call_%016lx\","
          "\"startedAtMs\":1790000000000,\"environmentId\":\"local\",\"command\":\"/bin/bash -lc 'make test'\",\"cwd\":\"/home/user/project\","
          "\"commandActions\":[{\"type\":\"unknown\",\"command\":\"make test\"}],\"proposedExecpolicyAmendment\":[\"make\",\"test\"],\"availableDecisions\":[\"accept\",\"cancel\"]}}\n",
          id, t->thread, t->turn, id);
}

static void step(Turn *t) {
    while (t->asked < t->reqs && t->asked - t->answered < t->window) ask(t);
    if (t->left > 0) {
        if (out.size) flush();
        double time = t->rate > 0 ? now() : 0;
        long budget = t->rate > 0 ? 0 : BLOCK;
        while (t->rate > 0 && t->due <= time) { budget++; t->due += 1 / t->rate; }
        for (; t->is_large && budget > 0 && t->left > 0; budget -= BLOCK / 10, t->left--, t->number++) {
            render_large(t);
            write_all(large.block.data, large.block.size);
        }
        while (budget > 0 && t->left > 0) {
            if (t->line == 0 || t->line == t->lines) number_block(t);
            long n = t->lines - t->line;
            if (n > budget) n = budget;
            if (n > t->left) n = t->left;
            if (t->perline || t->rate > 0) n = 1;
            size_t from = t->line ? t->ends[t->line - 1] : 0;
            size_t size = t->ends[t->line + n - 1] - from;
            if (t->stamped) stamp(t->block.data + from, size);
            write_all(t->block.data + from, size);
            t->line += n;
            t->left -= n;
            budget -= n;
        }
    }
    if (t->left == 0 && t->answered == t->reqs) {
        print(&out, "{\"method\":\"turn/completed\",\"params\":{\"threadId\":\"%s\",\"turn\":" TURN_JSON "}," STAMP, t->thread, t->turn, t->turn,
              t->refused ? "failed" : "completed");
        free(t->block.data);
        free(t->ends);
        free(t->mark);
        memset(t, 0, sizeof *t);
    }
}

static long number_of(const char *directive, const char *name, long fallback) {
    size_t size = strlen(name);
    for (const char *at = directive; (at = strpbrk(at, ":;")); )
        if (!strncmp(++at, name, size)) return atol(at + size);
    return fallback;
}

static void start_turn(const char *line, const char *id) {
    Turn *t = turns;
    while (t < turns + TURNS && t->used) t++;
    if (t == turns + TURNS) exit(2);
    t->used = 1;
    const char *at = strstr(line, "\"threadId\"");
    if (at) sscanf(at + 10, "%*[: \"]%79[^\"]", t->thread);
    snprintf(t->turn, sizeof t->turn, "01b0a7c4-52d1-7e30-9f48-%012lx", ++next_turn);
    char directive[256] = "", mix[16] = "delta";
    if ((at = strstr(line, "fire:"))) sscanf(at, "%255[^\"\\]", directive);
    if ((at = strstr(directive, "mix="))) sscanf(at + 4, "%15[a-z0-9]", mix);
    t->left = number_of(directive, "n=", 0);
    t->perline = (int)number_of(directive, "perline=", 0);
    t->stamped = (int)number_of(directive, "stamp=", 0);
    t->rate = (double)number_of(directive, "rate=", 0);
    t->reqs = number_of(directive, "reqs=", 0);
    t->window = number_of(directive, "win=", 1);
    t->due = now();
    render(t, mix, (size_t)number_of(directive, "bytes=", 65536));
    print(&out, "{\"id\":%s,\"result\":{\"turn\":" TURN_JSON "}}\n", id, t->turn, t->turn, "inProgress");
    print(&out, "{\"method\":\"thread/status/changed\",\"params\":{\"threadId\":\"%s\",\"status\":{\"type\":\"active\",\"activeFlags\":[]}}," STAMP, t->thread);
    print(&out, "{\"method\":\"turn/started\",\"params\":{\"threadId\":\"%s\",\"turn\":" TURN_JSON "}," STAMP, t->thread, t->turn, t->turn, "inProgress");
}

#define THREAD_JSON "{\"id\":\"%s\",\"environments\":[],\"extra\":null,\"sessionId\":\"%s\",\"forkedFromId\":null,\"parentThreadId\":null,\"preview\":\"\",\"ephemeral\":false," \
    "\"section\":null,\"sectionEnteredAt\":null,\"projectId\":null,\"historyMode\":\"paginated\",\"modelProvider\":\"bench\",\"model\":\"bench\",\"reasoningEffort\":null," \
    "\"createdAt\":1790000000,\"updatedAt\":1790000000,\"recencyAt\":1790000000,\"status\":{\"type\":\"idle\"},\"path\":null,\"cwd\":\"/home/user/project\",\"cliVersion\":\"0.163.0\"," \
    "\"originator\":\"bench\",\"source\":\"vscode\",\"canAcceptDirectInput\":true,\"threadSource\":null,\"agentNickname\":null,\"agentRole\":null,\"gitInfo\":null,\"name\":null," \
    "\"daybreakEnabled\":null,\"turns\":[]}"

static void start_thread(const char *id) {
    char thread[80];
    snprintf(thread, sizeof thread, "01b0a7c4-4e90-7a12-8c33-%012lx", ++next_thread);
    print(&out, "{\"id\":%s,\"result\":{\"thread\":" THREAD_JSON ",\"model\":\"bench\",\"modelProvider\":\"bench\",\"serviceTier\":null,\"disabledPluginIds\":[],"
          "\"cwd\":\"/home/user/project\",\"runtimeWorkspaceRoots\":[\"/home/user/project\"],\"instructionSources\":[],\"approvalPolicy\":\"never\",\"approvalsReviewer\":\"user\","
          "\"sandbox\":{\"type\":\"readOnly\",\"networkAccess\":false},\"activePermissionProfile\":null,\"reasoningEffort\":null,\"multiAgentMode\":\"explicitRequestOnly\"}}\n",
          id, thread, thread);
    print(&out, "{\"method\":\"thread/started\",\"params\":{\"thread\":" THREAD_JSON "}," STAMP, thread, thread);
}

/* -- what is asked of us ------------------------------------------------------------------------------------------ */

static void answered(const char *line, const char *id) {
    Turn *t = turns + owner[atol(id) % OWNERS];
    t->answered++;
    if (!strstr(line, "\"accept\"")) t->refused++;
    print(&out, "{\"method\":\"serverRequest/resolved\",\"params\":{\"threadId\":\"%s\",\"requestId\":%s}," STAMP, t->thread, id);
}

static void take(char *line, size_t size) {
    char id[128] = "", method[64] = "";
    const char *at = strstr(line, "\"id\"");
    if (at) {
        at += 4 + strspn(at + 4, ": ");
        size_t n = *at == '"' ? strcspn(at + 1, "\"") + 2 : strcspn(at, ",} ");
        snprintf(id, sizeof id, "%.*s", (int)n, at);
    }
    if ((at = strstr(line, "\"method\""))) sscanf(at + 8, "%*[: ]\"%63[^\"]", method);
    if (!*id) return; /* a notification */
    if (!*method) answered(line, id);
    else if (!strcmp(method, "initialize"))
        print(&out, "{\"id\":%s,\"result\":{\"userAgent\":\"bench/0.163.0 (Linux; x86_64) unknown (bench; 1)\",\"codexHome\":\"/home/user/.codex\",\"platformFamily\":\"unix\",\"platformOs\":\"linux\"}}\n", id);
    else if (!strcmp(method, "thread/start")) start_thread(id);
    else if (!strcmp(method, "turn/start")) start_turn(line, id);
    else {
        at = strstr(line, "\"params\"");
        print(&out, "{\"id\":%s,\"result\":", id);
        if (at) {
            at += 8 + strspn(at + 8, ": ");
            put(&out, at, (size_t)(line + size - at) - 1); /* params come last: leave out the closing brace */
        } else put(&out, "{}", 2);
        put(&out, "}\n", 2);
    }
}

int main(void) {
    static char chunk[65536];
    Buffer in = {0};
    for (;;) {
        int timeout = -1;
        double time = now();
        for (Turn *t = turns; t < turns + TURNS; t++) {
            if (!t->used) continue;
            if (t->left > 0 && t->rate == 0) timeout = 0;
            else if (t->left > 0) {
                double wait = (t->due - time) * 1000;
                int ms = wait < 0 ? 0 : (int)wait + 1;
                if (timeout < 0 || ms < timeout) timeout = ms;
            }
        }
        struct pollfd fd = {.fd = 0, .events = POLLIN};
        if (poll(&fd, 1, timeout) > 0) {
            ssize_t n = read(0, chunk, sizeof chunk);
            if (n <= 0) return 0;
            put(&in, chunk, (size_t)n);
            size_t from = 0;
            char *end;
            while ((end = memchr(in.data + from, '\n', in.size - from))) {
                *end = 0;
                take(in.data + from, (size_t)(end - in.data) - from);
                from = (size_t)(end - in.data) + 1;
            }
            memmove(in.data, in.data + from, in.size - from);
            in.size -= from;
        }
        for (Turn *t = turns; t < turns + TURNS; t++) if (t->used) step(t);
        if (out.size) flush();
    }
}
