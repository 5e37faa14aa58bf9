# Buckets, the rest: ACLs, logs, events, who pays, websites, replication, versions that end; copies, old objects, data sources.

variable "later" {
  type    = bool
  default = false
}

data "aws_canonical_user_id" "me" {}

resource "aws_s3_bucket" "site" {
  bucket        = "tf-site"
  force_destroy = true
}

resource "aws_s3_bucket" "logs" {
  bucket        = "tf-logs"
  force_destroy = true
}

resource "aws_s3_bucket" "copy" {
  bucket        = "tf-copy"
  force_destroy = true
}

resource "aws_s3_bucket_versioning" "both" {
  for_each = { site = aws_s3_bucket.site.id, copy = aws_s3_bucket.copy.id }
  bucket   = each.value
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_ownership_controls" "site" {
  bucket = aws_s3_bucket.site.id
  rule { object_ownership = "ObjectWriter" }
}

resource "aws_s3_bucket_acl" "site" {
  bucket     = aws_s3_bucket.site.id
  depends_on = [aws_s3_bucket_ownership_controls.site]
  acl        = var.later ? null : "private"
  dynamic "access_control_policy" {
    for_each = var.later ? [1] : []
    content {
      owner { id = data.aws_canonical_user_id.me.id }
      grant {
        permission = "FULL_CONTROL"
        grantee {
          type = "CanonicalUser"
          id   = data.aws_canonical_user_id.me.id
        }
      }
      grant {
        permission = "READ_ACP"
        grantee {
          type = "Group"
          uri  = "http://acs.amazonaws.com/groups/s3/LogDelivery"
        }
      }
    }
  }
}

resource "aws_s3_bucket_logging" "site" {
  bucket        = aws_s3_bucket.site.id
  target_bucket = aws_s3_bucket.logs.id
  target_prefix = var.later ? "later/" : "site/"
  target_object_key_format {
    partitioned_prefix { partition_date_source = var.later ? "DeliveryTime" : "EventTime" }
  }
}

resource "aws_s3_bucket_notification" "site" {
  bucket      = aws_s3_bucket.site.id
  eventbridge = !var.later
  queue {
    id            = "files"
    queue_arn     = "arn:aws:sqs:us-east-1:000000000000:tf-files"
    events        = var.later ? ["s3:ObjectCreated:Put"] : ["s3:ObjectCreated:*"]
    filter_suffix = ".csv"
  }
  topic {
    id        = "gone"
    topic_arn = "arn:aws:iot:us-east-1:000000000000:topic/wards/files"
    events    = ["s3:ObjectRemoved:*"]
  }
}

resource "aws_s3_bucket_request_payment_configuration" "site" {
  bucket = aws_s3_bucket.site.id
  payer  = var.later ? "BucketOwner" : "Requester"
}

resource "aws_s3_bucket_website_configuration" "site" {
  bucket = aws_s3_bucket.site.id
  index_document { suffix = "index.html" }
  error_document { key = var.later ? "gone.html" : "error.html" }
  routing_rule {
    condition { key_prefix_equals = "old/" }
    redirect { replace_key_prefix_with = "new/" }
  }
}

resource "aws_s3_bucket_replication_configuration" "site" {
  bucket     = aws_s3_bucket.site.id
  depends_on = [aws_s3_bucket_versioning.both]
  role       = "arn:aws:iam::000000000000:role/replicate"
  rule {
    id       = "all"
    status   = var.later ? "Disabled" : "Enabled"
    priority = 1
    filter { prefix = "keep/" }
    delete_marker_replication { status = "Enabled" }
    destination {
      bucket        = aws_s3_bucket.copy.arn
      storage_class = "STANDARD"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "site" {
  bucket     = aws_s3_bucket.site.id
  depends_on = [aws_s3_bucket_versioning.both]
  rule {
    id     = "versions"
    status = "Enabled"
    filter {
      and {
        prefix                   = "keep/"
        object_size_greater_than = 1000
        tags                     = { team = "ward" }
      }
    }
    noncurrent_version_expiration {
      noncurrent_days           = var.later ? 40 : 30
      newer_noncurrent_versions = 3
    }
  }
  rule {
    id     = "colder"
    status = "Enabled"
    filter { prefix = "waves/" }
    transition {
      days          = var.later ? 45 : 30
      storage_class = "STANDARD_IA"
    }
    transition {
      days          = 90
      storage_class = "GLACIER"
    }
    noncurrent_version_transition {
      noncurrent_days = 30
      storage_class   = "DEEP_ARCHIVE"
    }
    expiration { days = 365 }
  }
  rule {
    id     = "markers"
    status = "Enabled"
    filter {}
    expiration { expired_object_delete_marker = true }
  }
}

resource "aws_s3_object" "page" {
  bucket                 = aws_s3_bucket.site.id
  depends_on             = [aws_s3_bucket_versioning.both, aws_s3_bucket_ownership_controls.site]
  key                    = "keep/page ü.html"
  content                = var.later ? "<h1>Ward 8</h1>" : "<h1>Ward 7</h1>"
  content_type           = "text/html"
  cache_control          = "max-age=60"
  content_language       = "en"
  checksum_algorithm     = var.later ? "CRC64NVME" : "SHA256"
  metadata               = { bed = var.later ? "2" : "1" }
  tags                   = { team = var.later ? "night" : "ward" }
  storage_class          = "STANDARD_IA"
  acl                    = "private"
  server_side_encryption = "AES256"
}

resource "aws_s3_bucket_object" "old" {
  bucket           = aws_s3_bucket.site.id
  depends_on       = [aws_s3_bucket_ownership_controls.site]
  key              = "old/form"
  content_base64   = base64encode(var.later ? "two" : "one")
  website_redirect = "/elsewhere"
  tags             = { team = "ward" }
}

resource "aws_s3_object_copy" "copied" {
  bucket             = aws_s3_bucket.site.id
  depends_on         = [aws_s3_bucket_ownership_controls.site]
  key                = "copied/page.html"
  source             = "${aws_s3_bucket.site.id}/${aws_s3_object.page.key}"
  metadata_directive = "REPLACE"
  tagging_directive  = "REPLACE"
  metadata           = { bed = var.later ? "4" : "3" }
  tags               = { team = var.later ? "night" : "ward" }
  content_type       = "text/html"
}

data "aws_s3_object" "page" {
  bucket = aws_s3_bucket.site.id
  key    = aws_s3_object.page.key
}

data "aws_s3_objects" "all" {
  bucket     = aws_s3_bucket.site.id
  depends_on = [aws_s3_object.page, aws_s3_object_copy.copied, aws_s3_bucket_object.old]
}

data "aws_s3_bucket" "site" { bucket = aws_s3_bucket.site.id }

output "keys" { value = data.aws_s3_objects.all.keys }
output "body" { value = data.aws_s3_object.page.body }
