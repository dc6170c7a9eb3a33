#include "monkey/servers.hpp"

#include <glob.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <spawn.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

extern char** environ;

namespace fern::testing {
namespace {

using namespace std::chrono_literals;

pid_t start_program(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> arguments;
  for (const std::string& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  int error = posix_spawn(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::system_error(error, std::generic_category(), command[0]);
  return pid;
}

std::string content(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

// Who runs what refuses to run as root: its own user if there is one.
uid_t user(const char* wanted) {
  if (geteuid() != 0) return geteuid();
  if (const passwd* entry = getpwnam(wanted); entry != nullptr) return entry->pw_uid;
  return 65534;
}

std::vector<std::string> as(uid_t user, std::vector<std::string> command) {
  std::vector<std::string> all{program("setpriv"), "--pdeathsig=TERM"};
  if (geteuid() == 0 && user != 0) {
    std::string id = std::to_string(user);
    all.insert(all.end(), {"--reuid=" + id, "--regid=65534", "--clear-groups"});
  }
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

}  // namespace

Folder::Folder() {
  std::string name = std::filesystem::temp_directory_path() / "fern-servers-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), name);
  }
  path_ = name;
  chmod(path_.c_str(), 0755);
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path Folder::made(const std::string& name, uid_t owner) const {
  std::filesystem::create_directory(path(name));
  if (geteuid() == 0 && chown(path(name).c_str(), owner, 65534) != 0) {
    throw std::system_error(errno, std::generic_category(), name);
  }
  chmod(path(name).c_str(), 0700);
  return path(name);
}

std::string Folder::write(const std::string& name, const std::string& text) const {
  std::ofstream(path(name)) << text;
  return path(name);
}

Server::Server(Server&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), stop_signal_(other.stop_signal_) {}

Server& Server::operator=(Server&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(stop_signal_, other.stop_signal_);
  return *this;
}

Server::Server(const std::vector<std::string>& command, const std::string& log,
               const std::string& ready, int stop_signal)
    : pid_(start_program(command, log)), stop_signal_(stop_signal) {
  for (int i = 0; i < 3000; ++i) {
    if (content(log).find(ready) != std::string::npos) return;
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      break;
    }
    std::this_thread::sleep_for(10ms);
  }
  stop();
  throw std::runtime_error(command[0] + " does not start: " + content(log));
}

void Server::stop() noexcept {
  if (pid_ < 0) return;
  kill(pid_, stop_signal_);
  for (int i = 0; i < 500 && pid_ >= 0; ++i) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
    } else {
      std::this_thread::sleep_for(10ms);
    }
  }
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

int free_port() {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

std::string program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(std::string(path != nullptr ? path : "/usr/bin:/bin") + ":/usr/sbin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (access((folder + "/" + name).c_str(), X_OK) == 0) return folder + "/" + name;
  }
  glob_t found{};
  std::string last;
  if (glob(("/usr/lib/postgresql/*/bin/" + name).c_str(), 0, nullptr, &found) == 0) {
    last = found.gl_pathv[found.gl_pathc - 1];
  }
  globfree(&found);
  return last;
}

void run(const std::vector<std::string>& command) {
  Folder folder;
  std::string log = folder.path("log");
  int status = 0;
  if (waitpid(start_program(command, log), &status, 0) < 0 || status != 0) {
    throw std::runtime_error(command[0] + ": " + content(log));
  }
}

std::string Servers::missing() {
  for (const char* name :
       {"setpriv", "openssl", "nginx", "redis-server", "initdb", "postgres", "mariadbd"}) {
    if (program(name).empty()) return std::string(name) + " is not installed";
  }
  return {};
}

void Servers::start() {
  start_nginx();
  start_redis();
  start_postgres();
  start_mariadb();
}

void Servers::start_nginx() {
  run({program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
       "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key(), "-out", certificate(), "-days",
       "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"});
  chmod(key().c_str(), 0644);
  std::string folder = folder_.path();
  std::string upstream = folder_.path("slow.sock");
  std::string build = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
  running_.emplace_back(as(0, {build + "/tests/slow_server", upstream}), folder_.path("slow.log"),
                        "ready");
  std::filesystem::create_directory(folder_.path("html"));
  folder_.write("html/big", std::string(big_size, 'b'));
  http_ = free_port();
  https_ = free_port();
  std::string temporary;
  for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
    temporary += std::string(kind) + "_temp_path " + folder + "/" + kind + ";\n";
  }
  std::string configuration =
      folder_.write("nginx.conf", "daemon off; master_process off; pid " + folder +
                                      "/nginx.pid;\n"
                                      "error_log stderr notice;\n"
                                      "events { worker_connections 1024; }\n"
                                      "http { access_log off;\n" +
                                      temporary +
                                      "  server {\n"
                                      "    listen 127.0.0.1:" +
                                      std::to_string(http_) +
                                      ";\n"
                                      "    listen 127.0.0.1:" +
                                      std::to_string(https_) +
                                      " ssl http2;\n"
                                      "    ssl_certificate " +
                                      certificate() + "; ssl_certificate_key " + key() +
                                      ";\n"
                                      "    root " +
                                      folder +
                                      "/html;\n"
                                      "    location /slow/ { proxy_pass http://unix:" +
                                      upstream +
                                      "; }\n"
                                      "  }\n"
                                      "}\n");
  running_.emplace_back(
      as(0, {program("nginx"), "-p", folder, "-c", configuration, "-e", "stderr"}),
      folder_.path("nginx.log"), "event method");
}

void Servers::start_redis() {
  redis_ = free_port();
  running_.emplace_back(as(0, {program("redis-server"), "--port", std::to_string(redis_), "--bind",
                               "127.0.0.1", "--save", "", "--dir", folder_.path()}),
                        folder_.path("redis.log"), "eady to accept connections");
}

void Servers::start_postgres() {
  uid_t owner = user("postgres");
  std::string data = folder_.made("postgres", owner);
  run(as(owner, {program("initdb"), "-D", data, "-U", "fern", "-A", "trust", "-N", "--locale=C",
                 "--no-instructions"}));
  postgres_ = free_port();
  running_.emplace_back(
      as(owner, {program("postgres"), "-D", data, "-k", data, "-h", "127.0.0.1", "-p",
                 std::to_string(postgres_), "-F", "-c", "max_connections=150"}),
      folder_.path("postgres.log"), "ready to accept connections", SIGINT);
}

// Without grant tables it needs no tables of its own at all.
void Servers::start_mariadb() {
  uid_t owner = user("mysql");
  std::string data = folder_.made("mariadb", owner);
  mariadb_ = free_port();
  running_.emplace_back(
      as(owner, {program("mariadbd"), "--no-defaults", "--datadir=" + data, "--skip-grant-tables",
                 "--socket=" + data + "/socket", "--port=" + std::to_string(mariadb_),
                 "--bind-address=127.0.0.1", "--pid-file=" + data + "/pid", "--max-connections=200",
                 "--skip-name-resolve"}),
      folder_.path("mariadb.log"), "ready for connections");
}

}  // namespace fern::testing
