# A table as infrastructure: keys, both kinds of index, stream, expiry, tags; and an item.

variable "later" {
  type    = bool
  default = false
}

resource "aws_dynamodb_table" "beds" {
  name                        = "tf-beds"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "ward"
  range_key                   = "bed"
  stream_enabled              = true
  stream_view_type            = var.later ? "NEW_AND_OLD_IMAGES" : "KEYS_ONLY"
  deletion_protection_enabled = false

  dynamic "attribute" {
    for_each = merge({ ward = "S", bed = "N", at = "N" }, var.later ? { nurse = "S" } : {})
    content {
      name = attribute.key
      type = attribute.value
    }
  }

  local_secondary_index {
    name            = "by-time"
    range_key       = "at"
    projection_type = "KEYS_ONLY"
  }

  dynamic "global_secondary_index" {
    for_each = var.later ? ["nurse"] : []
    content {
      name               = "by-nurse"
      hash_key           = global_secondary_index.value
      projection_type    = "INCLUDE"
      non_key_attributes = ["at"]
    }
  }

  ttl {
    attribute_name = "until"
    enabled        = true
  }

  tags = { team = var.later ? "night" : "day" }
}

resource "aws_dynamodb_table_item" "first" {
  table_name = aws_dynamodb_table.beds.name
  hash_key   = aws_dynamodb_table.beds.hash_key
  range_key  = aws_dynamodb_table.beds.range_key
  item = jsonencode({
    ward  = { S = "7" }, bed = { N = "1" }, at = { N = "10" },
    nurse = { S = var.later ? "ann" : "bob" }
  })
}
