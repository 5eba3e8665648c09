//! A fictional product that has every element of the access matrix, for tests.

use std::sync::LazyLock;

use fhir_model::{
    Product,
    access::{AccessMatrix, Column, DEFAULT_MATRIX, Filtered, Targets, filter},
    facts::{ProductFacts, facts},
};
use serde_json::{Value, json};

pub(crate) const OWNER: &str = "ORG-100099001";

fn rms(list: &str, code: &str) -> Value {
    json!({"coding":[{"system":format!("http://spor.ema.europa.eu/v1/lists/{list}"),"code":code}]})
}

fn ingredient(id: &str, role: &Value, name: &str, of: &str) -> Value {
    json!({"resourceType":"Ingredient","id":id,"status":"active","for":[{"reference":of}],"role":role,
        "function":[{"text":"function of it"}],"group":{"text":"group of it"},
        "manufacturer":[{"role":"actual","manufacturer":{"reference":"Organization/supplier"}}],
        "substance":{"code":{"concept":{"text":name,"coding":[{"system":"urn:sms","code":name}]},
                "reference":{"reference":format!("SubstanceDefinition/{name}")}},
            "strength":[{"presentationRatio":{"numerator":{"value":5,"unit":"mg"},"denominator":{"value":1}},
                "referenceStrength":[{"substance":{"concept":{"text":name}},
                    "strengthRatio":{"numerator":{"value":4}}}]}]}})
}

fn substance(name: &str) -> Value {
    json!({"resourceType":"SubstanceDefinition","id":name,"identifier":[{"system":"urn:sms","value":name}],
        "name":[{"name":name}],"code":[{"code":{"text":name}}],
        "structure":{"molecularFormula":"C9H9"},"property":[{"type":{"text":"p"},"valueBoolean":true}],
        "manufacturer":[{"reference":"Organization/supplier"}],"supplier":[{"reference":"Organization/supplier"}]})
}

fn organisation(id: &str) -> Value {
    json!({"resourceType":"Organization","id":id,"name":format!("Name of {id}"),
        "identifier":[{"system":"https://spor.ema.europa.eu/v1/organisations","value":"ORG-100099002"},
            {"system":"urn:internal","value":"customer 17"}],
        "contact":[{"purpose":{"text":"Administrative"},"name":[{"text":"A Person"}],
            "telecom":[{"system":"email","value":"person@example.org"}],
            "address":{"line":["Hidden street 1"],"city":"Hidden city","country":"DE"}}]})
}

fn authorisation(id: &str, subject: &str, status: &str) -> Value {
    json!({"resourceType":"RegulatedAuthorization","id":id,"subject":[{"reference":subject}],
        "identifier":[{"system":"http://ema.europa.eu/fhir/marketingAuthorizationNumber","value":format!("NAT {id}")}],
        "type":rms("220000000060","220000000061"),"status":rms("100000072049",status),
        "region":[rms("100000000002","100000000403")],"statusDate":"2024-01-01",
        "description":"free text","basis":[{"text":"basis"}],"intendedUse":{"text":"use"},
        "validityPeriod":{"start":"2024-01-01"},
        "indication":[{"concept":{"text":"applied for"},"reference":{"reference":"ClinicalUseDefinition/cu"}}],
        "attachedDocument":[{"reference":"DocumentReference/smpc"},{"reference":"DocumentReference/report"}],
        "holder":{"reference":"Organization/holder"},"regulator":{"reference":"Organization/agency"},
        "case":{"identifier":{"value":"PROC/1"},"type":{"text":"national"},"status":{"text":"over"},
            "application":[{"identifier":{"value":"APP/1"}}]}})
}

fn document(id: &str, kind: &Value) -> Value {
    json!({"resourceType":"DocumentReference","id":id,"status":"current","type":kind,
        "identifier":[{"value":format!("number of {id}")}],"custodian":{"reference":"Organization/holder"},
        "author":[{"reference":"Practitioner/person"}],
        "content":[{"attachment":{"url":format!("https://example.org/{id}.pdf"),"title":format!("title of {id}")}}]})
}

/// The product with everything. Ids say what they are.
pub(crate) fn product() -> Product {
    let active = rms("100000072050", "100000072072");
    let excipient = rms("100000072050", "100000072082");
    let mut secret =
        ingredient("secret-excipient", &excipient, "secretose", "ManufacturedItemDefinition/item");
    secret["meta"] = json!({"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]});
    let mut holder = organisation("holder");
    holder["identifier"] =
        json!([{"system":"https://spor.ema.europa.eu/v1/locations","value":"LOC-100099001"}]);
    let mut enquiry = organisation("enquiry-point");
    enquiry["contact"].as_array_mut().unwrap().push(json!({"purpose":{"text":"Pharmacovigilance enquiry"},
        "telecom":[{"system":"email","value":"enquiry@example.org"}]}));
    let root = json!({"resourceType":"MedicinalProductDefinition","id":"600000000001",
        "meta":{"versionId":"3","lastUpdated":"2026-01-15T09:30:00Z","profile":["urn:profile"]},
        "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">narrative</div>"},
        "contained":[{"resourceType":"Organization","id":"inside","name":"Contained Ltd"}],
        "extension":[{"url":"http://ema.europa.eu/fhir/extension/authorisedDoseForm","valueCoding":{"code":"1"}},
            {"url":"urn:unknown","valueString":"hidden extension"}],
        "identifier":[{"system":"http://ema.europa.eu/fhir/mpId","value":"DE-100099001-1"},
            {"system":"http://spor.ema.europa.eu/v1/lists/100000000009/terms/100000075665","value":"PRD1"},
            {"value":"internal number","assigner":{"reference":"#inside"}}],
        "type":{"text":"type"},"domain":rms("100000000004","100000000012"),"status":rms("200000005003","200000005004"),
        "version":"7","description":"hidden description","indication":"headache",
        "_indication":{"extension":[{"url":"urn:unknown","valueString":"hidden beside primitive"}]},
        "legalStatusOfSupply":rms("100000072051","100000072084"),
        "classification":[rms("100000093533","N02"),{"text":"Orphan designation"},
            {"coding":[{"system":"https://pmsgate.example/fhir/legal-basis","code":"full"}]},{"text":"other class"}],
        "marketingStatus":[{"country":rms("100000000002","100000000403"),"status":rms("100000072052","100000072083"),
            "dateRange":{"start":"2024-01-01"},"restoreDate":"2024-02-01"}],
        "comprisedOf":[{"reference":"ManufacturedItemDefinition/item"}],"code":[{"code":"c"}],
        "impurity":[{"concept":{"text":"impurity"}}],
        "attachedDocument":[{"reference":"DocumentReference/smpc","display":"SmPC"},
            {"reference":"DocumentReference/report","display":"hidden report"}],
        "masterFile":[{"reference":"DocumentReference/psmf","display":"MFL1","extension":[
            {"url":"http://ema.europa.eu/fhir/extension/psmfLocationCountry","valueCodeableConcept":{"text":"Germany"}}]}],
        "contact":[{"type":{"text":"Pharmacovigilance enquiry"},"contact":{"reference":"Organization/enquiry-point"}},
            {"type":rms("100000154441","100000155057"),"contact":{"reference":"PractitionerRole/qppv","display":"Dr Hidden"}}],
        "clinicalTrial":[{"reference":"ResearchStudy/1"}],
        "name":[{"productName":"Examplol 5 mg tablets","part":[{"part":"Examplol","type":rms("220000000000","220000000002")}],
            "usage":[{"country":rms("100000000002","100000000403"),"language":rms("100000072057","100000072178")}]}],
        "crossReference":[{"product":{"reference":{"reference":"MedicinalProductDefinition/600000000002"}}},
            {"product":{"reference":{"reference":"MedicinalProductDefinition/600000000003"}}}],
        "operation":[
            {"type":{"reference":{"reference":"ActivityDefinition/open"}},"effectiveDate":{"start":"2024-01-01"},
                "organization":[{"reference":"Organization/open-site"}],"confidentialityIndicator":{"text":"Not confidential"}},
            {"type":{"reference":{"reference":"ActivityDefinition/closed"}},
                "organization":[{"reference":"Organization/closed-site"}],"confidentialityIndicator":{"text":"Confidential"}}],
        "characteristic":[{"type":{"text":"hidden characteristic"},"valueBoolean":true}]});
    let activity = |id: &str| json!({"resourceType":"ActivityDefinition","id":id,"status":"active","code":{"text":"Batch release"}});
    let manufacturing = |id: &str, activity: &str| {
        json!({"resourceType":"RegulatedAuthorization","id":id,"subject":[{"reference":format!("ActivityDefinition/{activity}")}],
            "identifier":[{"system":"http://ema.europa.eu/fhir/manufacturingAuthorizationNumber","value":format!("MIA {id}")}],
            "holder":{"reference":"Organization/holder"}})
    };
    let parts = vec![
        authorisation("ra-valid", "MedicinalProductDefinition/600000000001", "100000072099"),
        authorisation("ra-pending", "PackagedProductDefinition/pack", "220000000066"),
        authorisation("ra-withdrawn", "PackagedProductDefinition/pack", "100000072113"),
        manufacturing("ra-open", "open"),
        manufacturing("ra-closed", "closed"),
        activity("open"),
        activity("closed"),
        json!({"resourceType":"PackagedProductDefinition","id":"pack",
            "packageFor":[{"reference":"MedicinalProductDefinition/600000000001"}],"name":"Pack","description":"30 tablets",
            "identifier":[{"system":"http://ema.europa.eu/fhir/pcId","value":"PC1"},{"system":"urn:internal","value":"hidden"}],
            "marketingStatus":[{"status":rms("100000072052","230000000000")}],
            "manufacturer":[{"reference":"Organization/open-site"}],"characteristic":[{"type":{"text":"hidden"}}],
            "packaging":{"type":{"text":"Box"},"quantity":1,"manufacturer":[{"reference":"Organization/closed-site"}],
                "packaging":[{"type":{"text":"Blister"},"material":[{"text":"PVC"}],
                    "manufacturer":[{"reference":"Organization/closed-site"}],
                    "containedItem":[{"item":{"reference":{"reference":"ManufacturedItemDefinition/item"}},"amount":{"value":30}}]}]}}),
        json!({"resourceType":"AdministrableProductDefinition","id":"adm","status":"active",
            "formOf":[{"reference":"MedicinalProductDefinition/600000000001"}],
            "producedFrom":[{"reference":"ManufacturedItemDefinition/item"}],
            "ingredient":[{"text":"examplol"},{"text":"secretose"}],
            "routeOfAdministration":[{"code":{"text":"Oral"}}]}),
        json!({"resourceType":"ManufacturedItemDefinition","id":"item","status":"active","name":"hidden name",
            "manufacturedDoseForm":{"text":"Tablet"},"manufacturer":[{"reference":"Organization/closed-site"}],
            "property":[{"type":{"text":"Colour"},"valueCodeableConcept":{"text":"white"}},
                {"type":{"text":"hidden property"},"valueBoolean":true}],
            "component":[{"type":{"text":"hidden component"}}]}),
        ingredient("active", &active, "examplol", "ManufacturedItemDefinition/item"),
        ingredient("excipient", &excipient, "lactose", "ManufacturedItemDefinition/item"),
        secret,
        substance("examplol"),
        substance("lactose"),
        substance("secretose"),
        holder,
        organisation("agency"),
        organisation("supplier"),
        organisation("open-site"),
        organisation("closed-site"),
        enquiry,
        document("smpc", &rms("100000155531", "100000155532")),
        document("report", &json!({"text":"Assessment report"})),
        document("psmf", &json!({"text":"PSMF"})),
        json!({"resourceType":"PractitionerRole","id":"qppv","practitioner":{"reference":"Practitioner/person"}}),
        json!({"resourceType":"Practitioner","id":"person","name":[{"family":"Hidden"}]}),
        json!({"resourceType":"ClinicalUseDefinition","id":"cu","type":"indication",
            "subject":[{"reference":"MedicinalProductDefinition/600000000001"}],
            "indication":{"diseaseSymptomProcedure":{"concept":{"text":"headache"}}}}),
    ];
    Product::new(root, parts)
}

static MATRIX: LazyLock<AccessMatrix> =
    LazyLock::new(|| AccessMatrix::parse(DEFAULT_MATRIX, "config/access-levels.toml").unwrap());

/// The default matrix.
pub(crate) fn matrix() -> &'static AccessMatrix {
    &MATRIX
}

/// The facts, with the location of the holder resolved to [`OWNER`].
pub(crate) fn facts_of(product: &Product) -> ProductFacts {
    facts(product, &|_| OWNER.parse().ok())
}

/// The product 600000000002 is public, 600000000003 is not.
pub(crate) fn targets() -> Targets {
    Targets { visible: ["600000000002".to_owned()].into() }
}

pub(crate) fn seen(column: Column) -> Filtered {
    let product = product();
    filter(matrix(), column, &facts_of(&product), &product, &targets()).unwrap()
}
