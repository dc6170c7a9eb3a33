#include "monkey/clients.hpp"

#include <curl/curl.h>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <mysql.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fern/fern.hpp>

#include <spawn.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>

extern char** environ;

namespace fern::testing {
namespace {

std::string seconds(milliseconds wait) {
  return std::to_string(static_cast<double>(wait.count()) / 1000);
}

template <class Thing, auto destroy>
struct Destroy {
  void operator()(Thing* thing) const { destroy(thing); }
};
template <class Thing, auto destroy>
using Owned = std::unique_ptr<Thing, Destroy<Thing, destroy>>;

// ---- libcurl

std::size_t append(char* data, std::size_t, std::size_t size, void* text) {
  static_cast<std::string*>(text)->append(data, size);
  return size;
}

std::string fetch(const std::string& url, const std::string& certificate, curl_write_callback take,
                  void* into) {
  Owned<CURL, curl_easy_cleanup> easy(curl_easy_init());
  curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_CAINFO, certificate.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, into);
  CURLcode result = curl_easy_perform(easy.get());
  if (result != CURLE_OK) return std::string("error: ") + curl_easy_strerror(result);
  long status = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  return std::to_string(status);
}

std::string curl_slow(const std::string& base, const std::string& certificate, milliseconds wait) {
  std::string body;
  std::string result =
      fetch(base + "slow/" + std::to_string(wait.count()), certificate, append, &body);
  return result + " " + body;
}

// ---- libpq

using Postgres = Owned<PGconn, PQfinish>;
using PostgresResult = Owned<PGresult, PQclear>;

std::string value_of(const PostgresResult& result) {
  switch (PQresultStatus(result.get())) {
    case PGRES_TUPLES_OK:
      return PQgetvalue(result.get(), 0, PQnfields(result.get()) - 1);
    case PGRES_COMMAND_OK:
      return PQcmdTuples(result.get());
    default:
      break;
  }
  const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
  return std::string("error: ") + (state != nullptr ? state : "connection");
}

std::string postgres_sleep(const std::string& where, milliseconds wait) {
  Postgres connection(PQconnectdb(where.c_str()));
  if (PQstatus(connection.get()) != CONNECTION_OK) return "error: no connection";
  std::string query = "select pg_sleep(" + seconds(wait) + "), 'slept'";
  return value_of(PostgresResult(PQexec(connection.get(), query.c_str())));
}

std::string postgres_cancel(const std::string& where, milliseconds wait) {
  Postgres connection(PQconnectdb(where.c_str()));
  if (PQstatus(connection.get()) != CONNECTION_OK) return "error: no connection";
  if (PQsendQuery(connection.get(), "select pg_sleep(3600)") == 0) return "error: not sent";
  if (usleep(static_cast<useconds_t>(wait.count() * 1000)) != 0) return "error: no sleep";
  Owned<PGcancel, PQfreeCancel> cancel(PQgetCancel(connection.get()));
  char why[256] = "";
  if (PQcancel(cancel.get(), why, sizeof why) == 0) return std::string("error: ") + why;
  std::string state = value_of(PostgresResult(PQgetResult(connection.get())));
  return "cancelled with " + state;
}

// ---- hiredis

using Redis = Owned<redisContext, redisFree>;
using RedisReply = Owned<redisReply, freeReplyObject>;

// A key that nobody else waits for.
std::string own_key() {
  static std::atomic<int> count{0};
  return "key" + std::to_string(count++);
}

std::string said(const Redis& redis, const RedisReply& reply) {
  if (reply == nullptr) return std::string("error: ") + redis->errstr;
  switch (reply->type) {
    case REDIS_REPLY_NIL:
      return "nil";
    case REDIS_REPLY_INTEGER:
      return std::to_string(reply->integer);
    case REDIS_REPLY_ARRAY:
      return reply->elements > 0 && reply->element[reply->elements - 1]->str != nullptr
                 ? reply->element[reply->elements - 1]->str
                 : "array";
    default:
      return reply->str;
  }
}

Redis redis_at(int port) { return Redis(redisConnect("localhost", port)); }

template <class... Args>
std::string command(const Redis& redis, const char* format, Args... args) {
  return said(redis,
              RedisReply(static_cast<redisReply*>(redisCommand(redis.get(), format, args...))));
}

std::string redis_blpop_nil(int port, milliseconds wait) {
  Redis redis = redis_at(port);
  return command(redis, "BLPOP %s %s", own_key().c_str(), seconds(wait).c_str());
}

std::string redis_blpop(int port, milliseconds wait) {
  std::string key = own_key();
  Helper pusher([&, port, wait] {
    if (usleep(static_cast<useconds_t>(wait.count() * 1000)) != 0) return;
    command(redis_at(port), "LPUSH %s pushed", key.c_str());
  });
  Redis redis = redis_at(port);
  return command(redis, "BLPOP %s 0", key.c_str());
}

// A subscriber that hears nothing until SO_RCVTIMEO has passed, and one that hears something.
std::string redis_silence(int port, milliseconds wait) {
  Redis redis = redis_at(port);
  redisSetTimeout(redis.get(),
                  {.tv_sec = wait.count() / 1000, .tv_usec = wait.count() % 1000 * 1000});
  std::string subscribed = command(redis, "SUBSCRIBE %s", own_key().c_str());
  void* reply = nullptr;
  int result = redisGetReply(redis.get(), &reply);
  RedisReply owned(static_cast<redisReply*>(reply));
  return subscribed + " " + std::to_string(result) + " " + redis->errstr;
}

std::string redis_publish(int port, milliseconds wait) {
  std::string channel = own_key();
  Redis redis = redis_at(port);
  command(redis, "SUBSCRIBE %s", channel.c_str());
  Helper publisher([&, port, wait] {
    if (usleep(static_cast<useconds_t>(wait.count() * 1000)) != 0) return;
    command(redis_at(port), "PUBLISH %s published", channel.c_str());
  });
  void* reply = nullptr;
  redisGetReply(redis.get(), &reply);
  return said(redis, RedisReply(static_cast<redisReply*>(reply)));
}

// ---- libmariadb

using Maria = Owned<MYSQL, mysql_close>;

std::string maria_error(const Maria& maria) {
  return "error: " + std::to_string(mysql_errno(maria.get()));
}

std::string maria_query(const Maria& maria, const std::string& query) {
  if (mysql_query(maria.get(), query.c_str()) != 0) return maria_error(maria);
  Owned<MYSQL_RES, mysql_free_result> result(mysql_store_result(maria.get()));
  if (result == nullptr) return maria_error(maria);
  MYSQL_ROW row = mysql_fetch_row(result.get());
  return row != nullptr ? row[mysql_num_fields(result.get()) - 1] : "no row";
}

bool maria_connect(const Maria& maria, int port) {
  return mysql_real_connect(maria.get(), "127.0.0.1", "root", "", nullptr,
                            static_cast<unsigned>(port), nullptr, 0) != nullptr;
}

std::string maria_sleep(int port, milliseconds wait) {
  Maria maria(mysql_init(nullptr));
  if (!maria_connect(maria, port)) return maria_error(maria);
  return maria_query(maria, "select sleep(" + seconds(wait) + "), 'slept'");
}

// libmariadb counts whole seconds.
std::string maria_ping_after_timeout(int port, milliseconds wait) {
  Maria maria(mysql_init(nullptr));
  unsigned limit = static_cast<unsigned>(wait.count() + 999) / 1000;
  my_bool again = 1;
  mysql_options(maria.get(), MYSQL_OPT_READ_TIMEOUT, &limit);
  mysql_options(maria.get(), MYSQL_OPT_RECONNECT, &again);
  if (!maria_connect(maria, port)) return maria_error(maria);
  std::string lost = maria_query(maria, "select sleep(3600)");
  std::string ping = mysql_ping(maria.get()) == 0 ? "answered" : maria_error(maria);
  return lost + ", ping " + ping + ", " + maria_query(maria, "select 7");
}

// ---- OpenSSL

using Context = Owned<SSL_CTX, SSL_CTX_free>;
using Bio = Owned<BIO, BIO_free_all>;

std::string openssl_error() {
  unsigned long code = ERR_get_error();
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return std::string("error: ") + (code != 0 ? text : std::strerror(errno));
}

int port_of(BIO* listener) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(static_cast<int>(BIO_get_fd(listener, nullptr)),
              reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

// Answers one connection, in TLS.
void serve_tls(BIO* listener, milliseconds wait) {
  if (BIO_do_accept(listener) <= 0) return;
  Bio connection(BIO_pop(listener));
  char request[64];
  int size = BIO_read(connection.get(), request, sizeof request);
  if (size <= 0 || usleep(static_cast<useconds_t>(wait.count() * 1000)) != 0) return;
  std::string answer = "heard " + std::string(request, static_cast<std::size_t>(size));
  BIO_write(connection.get(), answer.data(), static_cast<int>(answer.size()));
}

std::string openssl_both(const std::string& certificate, const std::string& key,
                         milliseconds wait) {
  Context server(SSL_CTX_new(TLS_server_method()));
  if (SSL_CTX_use_certificate_file(server.get(), certificate.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_use_PrivateKey_file(server.get(), key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return openssl_error();
  }
  Bio listener(BIO_new_accept("127.0.0.1:0"));
  BIO_set_accept_bios(listener.get(), BIO_new_ssl(server.get(), 0));
  if (BIO_do_accept(listener.get()) <= 0) return openssl_error();
  std::string where = "localhost:" + std::to_string(port_of(listener.get()));
  Helper other([&listener, wait] { serve_tls(listener.get(), wait); });

  Context client(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_load_verify_locations(client.get(), certificate.c_str(), nullptr);
  SSL_CTX_set_verify(client.get(), SSL_VERIFY_PEER, nullptr);
  Bio connection(BIO_new_ssl_connect(client.get()));
  BIO_set_conn_hostname(connection.get(), where.c_str());
  if (BIO_do_connect(connection.get()) <= 0) return openssl_error();
  BIO_puts(connection.get(), "hello");
  char answer[64];
  int size = BIO_read(connection.get(), answer, sizeof answer);
  return size > 0 ? std::string(answer, static_cast<std::size_t>(size)) : openssl_error();
}

// ---- libc

std::string popen_read(milliseconds wait) {
  FILE* from = popen(("sleep " + seconds(wait) + "; echo from a child").c_str(), "r");
  if (from == nullptr) return std::string("error: ") + std::strerror(errno);
  char line[64] = "";
  bool read = std::fgets(line, sizeof line, from) != nullptr;
  int status = pclose(from);
  return (read ? line : "error: nothing ") + std::to_string(status);
}

std::string system_sleep(milliseconds wait) {
  int status = std::system(("sleep " + seconds(wait) + "; exit 3").c_str());
  return status == -1 ? "error: " + std::string(std::strerror(errno)) : std::to_string(status);
}

std::string wait_for_child(milliseconds wait) {
  std::string time = seconds(wait);
  char name[] = "sleep";
  char* arguments[] = {name, time.data(), nullptr};
  pid_t pid = -1;
  if (posix_spawnp(&pid, "sleep", nullptr, nullptr, arguments, environ) != 0) return "error: spawn";
  int status = -1;
  if (waitpid(pid, &status, 0) == pid) return std::to_string(status);
  std::string result = std::string("error: ") + std::strerror(errno);
  kill(pid, SIGKILL);
  syscall(SYS_wait4, pid, nullptr, 0, nullptr);  // the kernel has ended it: no wait of anybody's
  return result;
}

std::string fgets_from_pipe(milliseconds wait) {
  int ends[2];
  if (pipe(ends) != 0) return "error: no pipe";
  Owned<FILE, fclose> in(fdopen(ends[0], "r"));
  Helper writer([to = ends[1], wait] {
    Owned<FILE, fclose> out(fdopen(to, "w"));
    std::fputs("a line\nand", out.get());
    std::fflush(out.get());
    if (usleep(static_cast<useconds_t>(wait.count() * 1000)) != 0) return;
    std::fputs(" another\n", out.get());
  });
  std::string all;
  char line[64];
  while (std::fgets(line, sizeof line, in.get()) != nullptr) all += line;
  if (std::ferror(in.get()) != 0) return std::string("error: ") + std::strerror(errno);
  return all;
}

}  // namespace

Helper::Helper(std::function<void()> work) {
  if (gettid() == getpid()) {
    join_ = [greenlet = fern::spawn(std::move(work))]() mutable {
      fern::ShieldKill shield;
      if (!greenlet.join(milliseconds(200))) greenlet.kill();
    };
  } else {
    auto thread = std::make_shared<std::thread>(std::move(work));
    join_ = [thread] { thread->join(); };
  }
}

Helper::~Helper() { join_(); }

std::vector<Client> clients(const Servers& servers) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  mysql_library_init(0, nullptr, nullptr);
  std::string certificate = servers.certificate();
  auto with = [](auto call, auto... arguments) {
    return [=](milliseconds wait) { return call(arguments..., wait); };
  };
  return {
      {"CurlHttp", with(curl_slow, servers.http(), certificate)},
      {"CurlHttps", with(curl_slow, servers.https(), certificate)},
      {"PostgresSleep", with(postgres_sleep, servers.postgres())},
      {"PostgresCancel", with(postgres_cancel, servers.postgres())},
      {"RedisBlpopOfNothing", with(redis_blpop_nil, servers.redis())},
      {"RedisBlpop", with(redis_blpop, servers.redis())},
      {"RedisSilence", with(redis_silence, servers.redis())},
      {"RedisPublish", with(redis_publish, servers.redis())},
      {"MariaSleep", with(maria_sleep, servers.mariadb())},
      {"MariaPingAfterTimeout", with(maria_ping_after_timeout, servers.mariadb()),
       milliseconds(1000)},
      {"OpensslBothEnds", with(openssl_both, certificate, servers.key())},
      {"Popen", popen_read, {}, milliseconds(2000)},
      {"System", system_sleep, {}, milliseconds(2000)},
      {"Waitpid", wait_for_child},
      {"FgetsFromPipe", fgets_from_pipe},
  };
}

std::string curl_get(const std::string& url, const std::string& certificate) {
  std::size_t right = 0;
  std::string result = fetch(
      url, certificate,
      [](char* data, std::size_t, std::size_t size, void* count) {
        static const std::string expected(CURL_MAX_WRITE_SIZE, 'b');
        bool as_expected = std::memcmp(data, expected.data(), size) == 0;
        *static_cast<std::size_t*>(count) += as_expected ? size : 0;
        return size;
      },
      &right);
  return result + " " + std::to_string(right) + " right bytes";
}

std::string postgres_copy(const std::string& where, std::size_t size) {
  Postgres connection(PQconnectdb(where.c_str()));
  std::string row(1000, 'r');
  std::string query = "copy (select repeat('r', 1000) from generate_series(1, " +
                      std::to_string(size / 1001) + ")) to stdout";
  PostgresResult started(PQexec(connection.get(), query.c_str()));
  if (PQresultStatus(started.get()) != PGRES_COPY_OUT) return value_of(started);
  std::size_t got = 0;
  char* line = nullptr;
  for (int length; (length = PQgetCopyData(connection.get(), &line, 0)) > 0;) {
    if (std::memcmp(line, row.data(), row.size()) == 0) got += static_cast<std::size_t>(length);
    PQfreemem(line);
  }
  return std::to_string(got) + " bytes, " + value_of(PostgresResult(PQgetResult(connection.get())));
}

}  // namespace fern::testing
