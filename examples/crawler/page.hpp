#pragma once

// A Page is whatever reads the links of a page as it arrives: our LinkScanner, or LinkParser, which
// is libxml2's.

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "link_scanner.hpp"
#include "links.hpp"

namespace crawler {

class Page {
 public:
  Page(bool libxml2, std::string_view charset) {
    if (libxml2) {
      reader_.emplace<LinkParser>(charset);
    } else {
      reader_.emplace<LinkScanner>(charset);
    }
  }

  void feed(std::string_view bytes) {
    std::visit([&](auto& reader) { reader.feed(bytes); }, reader_);
  }
  void finish() {
    std::visit([](auto& reader) { reader.finish(); }, reader_);
  }
  const std::vector<std::string>& links() const {
    return std::visit([](auto& reader) -> auto& { return reader.links(); }, reader_);
  }
  const std::optional<std::string>& base() const {
    return std::visit([](auto& reader) -> auto& { return reader.base(); }, reader_);
  }
  std::string_view defect() const {
    return std::visit([](auto& reader) { return reader.defect(); }, reader_);
  }

 private:
  std::variant<LinkScanner, LinkParser> reader_{std::in_place_type<LinkScanner>, ""};
};

}  // namespace crawler
