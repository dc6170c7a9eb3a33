// The first example of every tutorial, with libcurl as it is: three downloads one after the other,
// and then three greenlets that each block in curl_easy_perform, at once. Compare the times.
//   build/examples/three_downloads http://127.0.0.1:8000/a http://127.0.0.1:8000/b ...
#include <curl/curl.h>
#include <fern/fern.hpp>
#include <fern/monkey.hpp>

#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

std::size_t count(char*, std::size_t, std::size_t size, void* total) {
  *static_cast<std::size_t*>(total) += size;
  return size;
}

std::size_t download(const std::string& url) {
  std::size_t bytes = 0;
  CURL* curl = curl_easy_init();
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &bytes);
  CURLcode result = curl_easy_perform(curl);
  curl_easy_cleanup(curl);
  if (result != CURLE_OK) throw std::runtime_error(url + ": " + curl_easy_strerror(result));
  return bytes;
}

void show(const char* how, std::size_t bytes, Clock::time_point start) {
  std::cout << how << ": " << bytes << " bytes in "
            << (Clock::now() - start) / std::chrono::milliseconds(1) << " ms\n";
}

}  // namespace

int main(int argc, char** argv) try {
  std::vector<std::string> urls(argv + 1, argv + argc);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  fern::monkey::patch_all();

  auto start = Clock::now();
  std::size_t total = 0;
  for (const std::string& url : urls) total += download(url);
  show("one by one", total, start);

  start = Clock::now();
  std::vector<fern::Greenlet<std::size_t>> downloads;
  for (const std::string& url : urls) downloads.push_back(fern::spawn(download, url));
  fern::joinall(downloads);
  total = 0;
  for (auto& one : downloads) total += one.get();
  show("all at once", total, start);
} catch (const std::exception& error) {
  std::cerr << "three_downloads: " << error.what() << '\n';
  return 1;
}
