#include "links.hpp"

#include <libxml/HTMLparser.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/xmlstring.h>

#include <cstddef>
#include <new>
#include <string>
#include <string_view>

namespace crawler {
namespace {

// Markup goes to libxml2 in slices, and after each we look at what became of it.
constexpr std::size_t slice_size = 4096;
// The cost of an end tag grows with the elements that are open: a page that opens more gets a
// new parser, which knows of none.
constexpr int max_depth = 256;
// libxml2 keeps what it has read: no parser reads more than this.
constexpr std::ptrdiff_t max_read = std::ptrdiff_t{256} * 1024;
// What libxml2 waits for the end of may grow so far, since the cost of a tag grows with the
// square of its attributes; a script or comment further, since those are long in earnest.
constexpr std::size_t max_wait = std::size_t{64} * 1024;
constexpr std::size_t max_long_wait = std::size_t{1024} * 1024;
// libxml2 2.9 takes "</scr" for no end tag and "<!DOC" for text when a slice ends there: a "<" so
// near to the end is left for the next slice.
constexpr std::size_t max_opening = 9;

std::string_view view(const xmlChar* text) { return reinterpret_cast<const char*>(text); }

htmlParserCtxtPtr context(void* parser) { return static_cast<htmlParserCtxtPtr>(parser); }

// What the parser has been given and not used yet.
std::string_view unused(htmlParserCtxtPtr parser) {
  return {reinterpret_cast<const char*>(parser->input->cur),
          static_cast<std::size_t>(parser->input->end - parser->input->cur)};
}

bool in_script(htmlParserCtxtPtr parser) {
  return parser->name != nullptr &&
         (view(parser->name) == "script" || view(parser->name) == "style");
}

bool in_comment(htmlParserCtxtPtr parser) { return unused(parser).starts_with("<!--"); }

bool begins_markup(std::string_view text) {
  if (text.size() < 2 || text[0] != '<') return false;
  char c = text[1];
  return c == '!' || c == '/' || c == '?' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

struct LinkParser::Sax {
  // The attribute that makes an element a link, if any does.
  static std::string_view link_attribute(std::string_view element) {
    if (element == "a" || element == "area" || element == "link" || element == "base") {
      return "href";
    }
    if (element == "frame" || element == "iframe") return "src";
    return "";
  }

  // Called from C, through which nothing may be thrown: memory that is out ends the program.
  static void start_element(void* self, const xmlChar* name, const xmlChar** attributes) noexcept {
    auto& page = *static_cast<LinkParser*>(self);
    std::string_view wanted = link_attribute(view(name));
    if (wanted.empty() || attributes == nullptr) return;
    for (; attributes[0] != nullptr; attributes += 2) {
      if (view(attributes[0]) != wanted || attributes[1] == nullptr) continue;
      if (view(name) == "base") {
        if (!page.base_) page.base_ = view(attributes[1]);
      } else {
        page.links_.emplace_back(view(attributes[1]));
      }
      return;
    }
  }

  // Called before the innermost element is closed. A second root goes in the first one's place.
  static void end_element(void* self, const xmlChar*) noexcept {
    htmlParserCtxtPtr parser = context(static_cast<LinkParser*>(self)->parser_.get());
    if (parser->nameNr == 1) parser->nameTab[parser->nameNr++] = parser->nameTab[0];
  }
};

void LinkParser::Free::operator()(void* parser) const noexcept {
  htmlFreeParserCtxt(context(parser));
}

LinkParser::LinkParser(std::string_view charset) : decoder_(charset) { start_parser({}); }

LinkParser::~LinkParser() = default;

void LinkParser::feed(std::string_view bytes) {
  decoder_.decode(bytes, text_);
  filter_.filter(text_, markup_);
  std::string_view rest = markup_;
  while (rest.size() >= slice_size) {
    std::size_t size = slice_size;
    std::size_t less_than = rest.rfind('<', size - 1);
    if (less_than != std::string_view::npos && size - less_than < max_opening) size = less_than;
    parse(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  markup_.erase(0, markup_.size() - rest.size());
}

void LinkParser::finish() {
  decoder_.finish(text_);
  filter_.finish(text_, markup_);
  parse(markup_);
  htmlParserCtxtPtr parser = context(parser_.get());
  if (decoder_.found_zero()) {
    defect_ = "zero bytes in the text";
  } else if (in_script(parser)) {
    defect_ = "breaks off inside of a script or style";
  } else if (begins_markup(unused(parser))) {
    defect_ = "breaks off inside of a tag";
  }
  htmlParseChunk(parser, nullptr, 0, 1);
}

void LinkParser::parse(std::string_view slice) {
  htmlParserCtxtPtr parser = context(parser_.get());
  // libxml2 2.9 remembers that a slice ended inside of a quoted value, but not by which quote:
  // it has to look at the tag from its beginning.
  if (!in_script(parser) && !in_comment(parser)) parser->checkIndex = 0;
  htmlParseChunk(parser, slice.data(), static_cast<int>(slice.size()), 0);
  keep_within_bounds();
}

// A parser begins inside of an element that nothing ends: then what follows a page's own end is
// read as well, and which elements are open makes no difference to the links.
void LinkParser::start_parser(std::string_view first) {
  constexpr std::string_view root = "<crawler-root>";
  xmlSAXHandler handler{};
  handler.startElement = Sax::start_element;
  handler.endElement = Sax::end_element;
  parser_.reset(
      htmlCreatePushParserCtxt(&handler, this, nullptr, 0, nullptr, XML_CHAR_ENCODING_UTF8));
  if (parser_ == nullptr) throw std::bad_alloc();
  htmlParserCtxtPtr parser = context(parser_.get());
  htmlCtxtUseOptions(parser, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                 HTML_PARSE_NONET | HTML_PARSE_NOIMPLIED | HTML_PARSE_IGNORE_ENC);
  xmlSwitchEncoding(parser, XML_CHAR_ENCODING_UTF8);
  htmlParseChunk(parser, root.data(), static_cast<int>(root.size()), 0);
  htmlParseChunk(parser, first.data(), static_cast<int>(first.size()), 0);
}

// Replaces the parser where it has come to its end, has too much to remember, or waits for the
// end of something that is longer than pages need.
void LinkParser::keep_within_bounds() {
  for (;;) {
    htmlParserCtxtPtr parser = context(parser_.get());
    std::string_view waiting = unused(parser);
    bool full = parser->nameNr > max_depth || parser->input->cur - parser->input->base > max_read;
    if (parser->instate == XML_PARSER_EOF || (full && !in_script(parser))) {
      start_parser(std::string(waiting));  // which are the old parser's
    } else if (in_script(parser) && waiting.size() > max_long_wait) {
      start_parser("<" + std::string(view(parser->name)) + ">");
    } else if (in_comment(parser) && waiting.size() > max_long_wait) {
      start_parser("<!--");
    } else if (!in_script(parser) && !in_comment(parser) && waiting.size() > max_wait) {
      htmlParseChunk(parser, nullptr, 0, 1);  // takes what there is
      start_parser({});
    } else {
      return;
    }
  }
}

}  // namespace crawler
