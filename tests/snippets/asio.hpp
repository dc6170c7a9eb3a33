#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

extern boost::beast::http::request<boost::beast::http::empty_body> request;
