// The crawl of examples/crawler, written with libcurl as everybody writes it: a loop around the
// blocking curl_easy_perform. Hundreds run at a time in one thread, for patch_all() has made them
// green; HTTP/2, TLS, compression and cookies are libcurl's. All else is shared with the crawler.
//   build/examples/crawler_curl https://example.org/ --depth 2
#include <curl/curl.h>
#include <CLI/CLI.hpp>
#include <fern/fern.hpp>
#include <fern/monkey.hpp>

#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include "crawler/frontier.hpp"
#include "crawler/links.hpp"
#include "crawler/report.hpp"
#include "crawler/robots.hpp"

using namespace crawler;
namespace {

// What libcurl has of a text: null is "".
std::string text(CURL* easy, CURLINFO what) {
  const char* value = nullptr;
  curl_easy_getinfo(easy, what, &value);
  return value == nullptr ? "" : value;
}

struct Crawl {
  const Options& options;
  Report& report;
  Frontier frontier{options};
  std::unordered_map<std::string, fern::AsyncResult<Robots>> rules{};  // by origin
  // The cookies of all: in one thread that needs no lock.
  std::unique_ptr<CURLSH, decltype(&curl_share_cleanup)> shared{curl_share_init(),
                                                                curl_share_cleanup};
  fern::Group workers{};

  void run() {
    curl_share_setopt(shared.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
    for (const std::string& url : options.urls) frontier.add_seed(Url::parse(url));
    workers.spawn([this] { frontier.run(); });
    for (std::size_t i = 0; i < options.concurrency; ++i) workers.spawn([this] { work(); });
    workers.waitall();
  }

  void work() {
    std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy(curl_easy_init(), curl_easy_cleanup);
    curl_easy_setopt(easy.get(), CURLOPT_SHARE, shared.get());
    curl_easy_setopt(easy.get(), CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy.get(), CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_2TLS});
    curl_easy_setopt(easy.get(), CURLOPT_USERAGENT, options.user_agent.c_str());
    curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT_MS, long(options.timeout.count() * 1000));
    curl_easy_setopt(
        easy.get(), CURLOPT_WRITEFUNCTION,
        +[](char* data, std::size_t, std::size_t size, std::string* body) {
          body->append(data, size);
          return size;
        });
    while (auto next = frontier.next()) {
      Row row{.url = next->url.text(), .depth = next->depth};
      visit(easy.get(), *next, row);
      report.add(row);
      frontier.done();
    }
  }

  // Blocks until the page is here; that lets the other two hundred run.
  std::string get(CURL* easy, const Url& url, Row& row) {
    std::string body;
    curl_easy_setopt(easy, CURLOPT_URL, url.text().c_str());
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
    CURLcode result = curl_easy_perform(easy);
    if (result != CURLE_OK) throw std::runtime_error(curl_easy_strerror(result));
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    row.status = static_cast<unsigned>(status);
    curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME, &row.milliseconds);
    row.milliseconds *= 1000;
    row.type = text(easy, CURLINFO_CONTENT_TYPE);
    row.redirect = text(easy, CURLINFO_REDIRECT_URL);
    row.bytes = body.size();
    return body;
  }

  void visit(CURL* easy, const Visit& visit, Row& row) try {
    if (!options.ignore_robots && !rules_of(easy, visit.url).allows(visit.url)) {
      throw std::runtime_error("disallowed by robots.txt");
    }
    Report::Flight flight(report);
    std::string body = get(easy, visit.url, row);
    if (!row.redirect.empty()) {
      row.error = frontier.add_redirect(Url::parse(row.redirect), visit);
    } else if (row.status / 100 != 2) {
      row.error = std::to_string(row.status);
    } else if (row.type.find("html") != row.type.npos) {
      LinkParser page("");
      page.feed(body);
      page.finish();
      row.links = page.links().size();
      Url base = visit.url.resolve(page.base().value_or(""));
      for (const std::string& link : page.links()) try {
          frontier.add_link(base.resolve(link), visit);
        } catch (const BadUrl&) {  // nothing of the web's
        }
    }
  } catch (const std::exception& error) {
    row.error = error.what();
  }

  // The first who asks fetches them; the others wait for it.
  const Robots& rules_of(CURL* easy, const Url& url) {
    auto [entry, is_first] = rules.try_emplace(std::string(url.origin()));
    fern::AsyncResult<Robots>& answer = entry->second;
    if (is_first) try {
        Row row;
        std::string body = get(easy, url.resolve("/robots.txt"), row);
        answer.set(Robots::from_answer(row.status, body, options.user_agent));
      } catch (const std::exception&) {
        answer.set(Robots::deny_all());
      }
    return answer.get();
  }
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Crawls web sites with libcurl, hundreds of pages at a time in one thread."};
  app.add_option("URL", options.urls)->required();
  app.add_option("-c,--concurrency", options.concurrency)->capture_default_str();
  app.add_option("-d,--depth", options.depth);
  app.add_option("-n,--max-pages", options.max_pages);
  app.add_option("-o,--output", options.output);
  app.add_flag("--span-hosts", options.span_hosts);
  app.add_flag("--ignore-robots", options.ignore_robots);
  CLI11_PARSE(app, argc, argv);
  fern::monkey::patch_all();
  Report report(options);
  Crawl crawl{options, report};
  auto on_interrupt = fern::on_signal(SIGINT, [&] { crawl.workers.kill(); });
  report.begin();
  crawl.run();
  report.end();
  return report.pages() > 0 ? 0 : 1;
}
