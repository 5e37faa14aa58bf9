# A distribution with names of its own, as most are published: one certificate that is requested, one that is imported.

variable "brought" {
  type    = string
  default = "first"
}

resource "aws_s3_bucket" "site" { bucket = "tf-edge" }

resource "aws_acm_certificate" "site" {
  domain_name               = "tf.example.org"
  subject_alternative_names = ["*.tf.example.org"]
  validation_method         = "DNS"
  tags                      = { team = "web" }
  lifecycle { create_before_destroy = true }
}

resource "aws_acm_certificate_validation" "site" {
  certificate_arn         = aws_acm_certificate.site.arn
  validation_record_fqdns = [for each in aws_acm_certificate.site.domain_validation_options : each.resource_record_name]
}

resource "aws_acm_certificate" "brought" {
  certificate_body  = file("${path.module}/${var.brought}.crt")
  private_key       = file("${path.module}/${var.brought}.key")
  certificate_chain = file("${path.module}/chain.pem")
}

locals {
  names = {
    "requested" = { alias = "www.tf.example.org", arn = aws_acm_certificate_validation.site.certificate_arn }
    "brought"   = { alias = "brought.example.org", arn = aws_acm_certificate.brought.arn }
  }
}

resource "aws_cloudfront_distribution" "site" {
  for_each = local.names
  enabled  = true
  aliases  = [each.value.alias]

  origin {
    origin_id   = "site"
    domain_name = aws_s3_bucket.site.bucket_regional_domain_name
  }
  default_cache_behavior {
    target_origin_id       = "site"
    viewer_protocol_policy = "redirect-to-https"
    allowed_methods        = ["GET", "HEAD"]
    cached_methods         = ["GET", "HEAD"]
    cache_policy_id        = "658327ea-f89d-4fab-a63d-7e88639e58f6" # Managed-CachingOptimized
  }
  restrictions {
    geo_restriction { restriction_type = "none" }
  }
  viewer_certificate {
    acm_certificate_arn      = each.value.arn
    ssl_support_method       = "sni-only"
    minimum_protocol_version = "TLSv1.2_2021"
  }
}
