// origin-response at the edge: security headers are added once, before the object is stored in the cache.
exports.handler = async (event) => {
  const response = event.Records[0].cf.response;
  const add = (name, value) => {
    response.headers[name.toLowerCase()] = [{ key: name, value }];
  };
  add("Strict-Transport-Security", "max-age=63072000; includeSubDomains");
  add("X-Content-Type-Options", "nosniff");
  add("X-Frame-Options", "SAMEORIGIN");
  add("Referrer-Policy", "same-origin");
  add("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'");
  return response;
};
