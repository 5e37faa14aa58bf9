# Buckets as infrastructure: versions, encryption, lifecycle, Object Lock, who may what, CORS; and an object.

variable "open" {
  type    = bool
  default = false
}

resource "aws_s3_bucket" "waves" {
  bucket              = "tf-waves"
  object_lock_enabled = true
  tags                = { team = "ward" }
}

resource "aws_s3_bucket_versioning" "waves" {
  bucket = aws_s3_bucket.waves.id
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_object_lock_configuration" "waves" {
  bucket = aws_s3_bucket.waves.id
  rule {
    default_retention {
      mode = "GOVERNANCE"
      days = 1
    }
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "waves" {
  bucket = aws_s3_bucket.waves.id
  rule {
    apply_server_side_encryption_by_default { sse_algorithm = "AES256" }
  }
}

resource "aws_s3_bucket" "page" {
  bucket        = "tf-page"
  force_destroy = true
}

resource "aws_s3_bucket_lifecycle_configuration" "page" {
  bucket = aws_s3_bucket.page.id
  rule {
    id     = "old"
    status = "Enabled"
    filter { prefix = "old/" }
    expiration { days = 30 }
    abort_incomplete_multipart_upload { days_after_initiation = 1 }
  }
}

resource "aws_s3_bucket_public_access_block" "page" {
  bucket                  = aws_s3_bucket.page.id
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = !var.open
  restrict_public_buckets = !var.open
}

resource "aws_s3_bucket_ownership_controls" "page" {
  bucket = aws_s3_bucket.page.id
  rule { object_ownership = "BucketOwnerPreferred" }
}

resource "aws_s3_bucket_policy" "page" {
  bucket     = aws_s3_bucket.page.id
  depends_on = [aws_s3_bucket_public_access_block.page]
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = var.open ? "*" : "arn:aws:iam::000000000000:user/camera7" }
      Action    = ["s3:GetObject"]
      Resource  = "${aws_s3_bucket.page.arn}/*"
    }]
  })
}

resource "aws_s3_bucket_cors_configuration" "page" {
  bucket = aws_s3_bucket.page.id
  cors_rule {
    allowed_methods = ["GET"]
    allowed_origins = ["https://ward.example"]
    max_age_seconds = 60
  }
}

resource "aws_s3_object" "index" {
  bucket       = aws_s3_bucket.page.id
  key          = "index.html"
  content      = "<h1>Ward 7</h1>"
  content_type = "text/html"
}
